//! Mistakes that a test makes to show that the simulator notices them.

use std::cell::Cell;

thread_local! {
    pub(in crate::logfile) static ONE_PART_IS_ENOUGH: Cell<bool> = const { Cell::new(false) };
    pub(in crate::logfile) static PARTS_STAY: Cell<bool> = const { Cell::new(false) };
    pub(in crate::logfile) static CLOSED_WITHOUT_SYNC: Cell<bool> = const { Cell::new(false) };
    pub(in crate::logfile) static MOVED_WITHOUT_SYNC: Cell<bool> = const { Cell::new(false) };
    pub(in crate::logfile) static BEGUN_WITHOUT_SYNC: Cell<bool> = const { Cell::new(false) };
}
