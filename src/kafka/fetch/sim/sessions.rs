//! The fetch sessions of one broker of the simulator, as Kafka keeps them (`FetchSession.scala`).

use std::collections::BTreeMap;

use super::fault::Fault;
use super::wire::{Asking, FetchAsked, Found};

const SESSION_ID_NOT_FOUND: i16 = 70;
const INVALID_SESSION_EPOCH: i16 = 71;

/// By number.
#[derive(Default)]
pub(super) struct Sessions(BTreeMap<i32, Session>);

struct Session {
    /// The epoch that the next request must have.
    epoch: i32,
    /// In the order in which they are served, each with the end and the start that the client knows.
    partitions: Vec<(FetchAsked, (i64, i64))>,
}

/// What a request is to its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It names all its partitions.
    First,
    /// It belongs to this session.
    In(i32),
}

impl Sessions {
    /// Takes a request: what it is to its session, and the partitions to look at.
    ///
    /// # Errors
    /// The code of the answer.
    pub(super) fn open(
        &mut self,
        asking: &Asking,
        fault: Option<Fault>,
    ) -> Result<(Place, Vec<FetchAsked>), i16> {
        let (id, epoch) = asking.session;
        if epoch <= 0 {
            assert!(asking.forgotten.is_empty(), "there is no session to leave");
            self.0.remove(&id);
            return Ok((Place::First, asking.partitions.clone()));
        }
        if fault == Some(Fault::Evicted) {
            self.0.remove(&id);
        }
        let session = self.0.get_mut(&id).ok_or(SESSION_ID_NOT_FOUND)?;
        if epoch != session.epoch || fault == Some(Fault::WrongEpoch) {
            return Err(INVALID_SESSION_EPOCH);
        }
        session.epoch += 1;
        for asked in &asking.partitions {
            match session.partitions.iter_mut().find(|(one, _)| (&one.0, one.1) == (&asked.0, asked.1)) {
                Some((known, _)) => *known = asked.clone(),
                None => session.partitions.push((asked.clone(), (-1, -1))),
            }
        }
        let is_left = |one: &FetchAsked| asking.forgotten.iter().any(|(t, n)| (t, *n) == (&one.0, one.1));
        assert!(!asking.partitions.iter().any(is_left), "named and forgotten");
        session.partitions.retain(|(one, _)| !is_left(one));
        Ok((Place::In(id), session.partitions.iter().map(|(one, _)| one.clone()).collect()))
    }

    /// Leaves out what has not changed, and remembers the rest. Returns the number of the session, too.
    pub(super) fn close(
        &mut self,
        place: Place,
        found: Vec<(FetchAsked, Found)>,
        denies: bool,
        dice: &mut fastrand::Rng,
    ) -> (i32, Vec<(FetchAsked, Found)>) {
        // After an error the partition is named again.
        let known = |one: &Found| if one.code == 0 { (one.end, one.start) } else { (-1, -1) };
        let id = match place {
            Place::First if denies => return (0, found),
            Place::First => {
                let id = dice.i32(1..);
                let partitions = found.iter().map(|(asked, one)| (asked.clone(), known(one))).collect();
                self.0.insert(id, Session { epoch: 1, partitions });
                return (id, found);
            }
            Place::In(id) => id,
        };
        // The broker may have gone down meanwhile.
        let Some(session) = self.0.get_mut(&id) else { return (id, found) };
        let mut named = Vec::new();
        for (asked, one) in found {
            let place = session.partitions.iter().position(|(other, _)| *other == asked);
            let Some(place) = place else { continue };
            let cached = &mut session.partitions[place].1;
            if one.code == 0 && one.set.is_empty() && *cached == known(&one) {
                continue;
            }
            *cached = known(&one);
            if !one.set.is_empty() {
                let served = session.partitions.remove(place);
                session.partitions.push(served);
            }
            named.push((asked, one));
        }
        (id, named)
    }
}
