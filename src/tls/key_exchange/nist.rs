//! Diffie-Hellman on the curves P-256, P-384 and P-521 (RFC 8446, 4.2.8.2 and 7.4.2).

use std::fmt;
use std::marker::PhantomData;

use p256::NistP256;
use p256::elliptic_curve::sec1::{FromSec1Point, ModulusSize, ToSec1Point};
use p256::elliptic_curve::{AffinePoint, CurveArithmetic, FieldBytesSize, Generate, PublicKey, SecretKey};
use p384::NistP384;
use p521::NistP521;
use rustls::crypto::{ActiveKeyExchange, GetRandomFailed, SharedSecret, SupportedKxGroup};
use rustls::{Error, NamedGroup, PeerMisbehaved};

use crate::tls::random::KernelRandom;

/// The group P-256, also called secp256r1.
pub(in crate::tls) static P256: NistGroup<NistP256> = NistGroup(NamedGroup::secp256r1, PhantomData);
/// The group P-384, also called secp384r1.
pub(in crate::tls) static P384: NistGroup<NistP384> = NistGroup(NamedGroup::secp384r1, PhantomData);

/// The group P-521, also called secp521r1.
pub(in crate::tls) static P521: NistGroup<NistP521> = NistGroup(NamedGroup::secp521r1, PhantomData);

/// The first byte of a point that has both coordinates. TLS knows no other form.
const UNCOMPRESSED: u8 = 4;

/// The curve `C` under the name that TLS gives it.
pub(in crate::tls) struct NistGroup<C>(NamedGroup, PhantomData<fn() -> C>);

impl<C> fmt::Debug for NistGroup<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<C> SupportedKxGroup for NistGroup<C>
where
    C: CurveArithmetic,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
    FieldBytesSize<C>: ModulusSize,
{
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let secret = SecretKey::<C>::try_generate_from_rng(&mut KernelRandom);
        Ok(Box::new(NistExchange::new(self.0, secret.map_err(|_| GetRandomFailed)?)))
    }

    fn name(&self) -> NamedGroup {
        self.0
    }
}

/// A key that is used once. It is wiped when this is dropped.
pub(in crate::tls) struct NistExchange<C: CurveArithmetic> {
    group: NamedGroup,
    secret: SecretKey<C>,
    public: Box<[u8]>,
}

impl<C> NistExchange<C>
where
    C: CurveArithmetic,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
    FieldBytesSize<C>: ModulusSize,
{
    pub(in crate::tls) fn new(group: NamedGroup, secret: SecretKey<C>) -> Self {
        let public = secret.public_key().to_sec1_point(false).as_bytes().into();
        Self { group, secret, public }
    }
}

impl<C> ActiveKeyExchange for NistExchange<C>
where
    C: CurveArithmetic,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
    FieldBytesSize<C>: ModulusSize,
{
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        if peer.first() != Some(&UNCOMPRESSED) {
            return Err(PeerMisbehaved::InvalidKeyShare.into());
        }
        // Refuses a wrong length, and a point that is not on the curve.
        let peer = PublicKey::<C>::from_sec1_bytes(peer).map_err(|_| PeerMisbehaved::InvalidKeyShare)?;
        let shared = self.secret.diffie_hellman(&peer);
        Ok(SharedSecret::from(shared.raw_secret_bytes().as_slice()))
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn group(&self) -> NamedGroup {
        self.group
    }
}
