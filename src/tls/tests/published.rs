//! The examples of the standards: RFC 8448 (a connection of TLS 1.3), RFC 8439 (ChaCha20-Poly1305), RFC 5903
//! (P-256 and P-384), RFC 4231 (HMAC).

use aes_gcm::Aes128Gcm;
use chacha20poly1305::ChaCha20Poly1305;
use rustls::crypto::ActiveKeyExchange;
use rustls::crypto::cipher::{
    InboundOpaqueMessage, OutboundChunks, OutboundPlainMessage, Tls13AeadAlgorithm,
};
use rustls::crypto::hash::Hash;
use rustls::crypto::hmac::Hmac;
use rustls::crypto::tls13::{Hkdf, HkdfUsingHmac, OkmBlock};
use rustls::internal::{derive_traffic_iv, derive_traffic_key};
use rustls::{ContentType, NamedGroup, ProtocolVersion};

use super::hex;
use crate::tls::digest::{SHA256, SHA384};
use crate::tls::key_exchange::{NistExchange, X25519Exchange};
use crate::tls::keyed_hash::{HMAC_SHA256, HMAC_SHA384};
use crate::tls::record::{KeyedCipher, Tls13Records};

/// RFC 8448, 3: what both sides make of their X25519 keys.
#[test]
fn rfc_8448_key_exchange() {
    let secret = |text: &str| <[u8; 32]>::try_from(hex(text)).unwrap();
    let client = secret("49af42ba7f7994852d713ef2784bcbcaa7911de26adc5642cb634540e7ea5005");
    let server = secret("b1580eeadf6dd589b8ef4f2d5652578cc810e9980191ec8d058308cea216a21e");
    let client_public = hex("99381de560e4bd43d23d8e435a7dbafeb3c06e51c13cae4d5413691e529aaf2c");
    let server_public = hex("c9828876112095fe66762bdbf7c672e156d6cc253b833df1dd69b1b04e751f0f");
    let shared = hex("8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d");
    for (secret, own, peer) in
        [(client, &client_public, &server_public), (server, &server_public, &client_public)]
    {
        let exchange = Box::new(X25519Exchange::new(secret));
        assert_eq!(exchange.pub_key(), own);
        assert_eq!(exchange.complete(peer).unwrap().secret_bytes(), shared);
    }
}

/// RFC 8448, 3: keys are derived from the traffic secrets, and the records of application data, the first of
/// each direction, come out as printed there. Each opens again.
#[test]
fn rfc_8448_records() {
    let text: Vec<u8> = (0..50).collect();
    let client = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
    let server = "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643";
    let client_record = "17030300 43a23f70 54b62c94 d0affafe 8228ba55 cbefacea 42f914aa 66bcab3f 2b9819a8 \
        a5b46b39 5bd54a9a 20441e2b 62974e1f 5a6292a2 977014bd 1e3deae6 3aeebb21 694915e4";
    // The server sent a ticket before, so the record is its second one.
    let server_record = "17030300 432e937e 11ef4ac7 40e538ad 36005fc4 a46932fc 3225d05f 82aa1b36 e30efaf9 \
        7d90e6df fc602dcb 501a59a8 fcc49c4b f2e5f0a2 1c0047c2 abf33254 0dd032e1 67c2955d";
    for (secret, number, printed) in [(client, 0, client_record), (server, 1, server_record)] {
        let hkdf = HkdfUsingHmac(&HMAC_SHA256);
        let expander = hkdf.expander_for_okm(&OkmBlock::new(&hex(secret)));
        let records = Tls13Records::<Aes128Gcm>::new();
        let key = || derive_traffic_key(&*expander, &records);
        let iv = || derive_traffic_iv(&*expander);
        let plain = OutboundPlainMessage {
            typ: ContentType::ApplicationData,
            version: ProtocolVersion::TLSv1_2,
            payload: OutboundChunks::Single(&text),
        };
        let sealed = records.encrypter(key(), iv()).encrypt(plain, number).unwrap().encode();
        assert_eq!(sealed, hex(printed), "record {number}");

        let mut payload = sealed[5..].to_vec();
        let record =
            InboundOpaqueMessage::new(ContentType::ApplicationData, ProtocolVersion::TLSv1_2, &mut payload);
        let mut decrypter = records.decrypter(key(), iv());
        let opened = decrypter.decrypt(record, number).unwrap();
        assert_eq!((opened.typ, opened.payload), (ContentType::ApplicationData, text.as_slice()));
    }
}

/// RFC 8439, 2.8.2.
#[test]
fn rfc_8439_chacha20_poly1305() {
    let key: Vec<u8> = (0x80..0xa0).collect();
    let nonce = <[u8; 12]>::try_from(hex("070000004041424344454647")).unwrap();
    let header = hex("50515253c0c1c2c3c4c5c6c7");
    let text =
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
        sunscreen would be it.";
    let cipher = KeyedCipher::<ChaCha20Poly1305>::new(&key);
    let mut sealed = text.to_vec();
    let tag = cipher.seal(nonce, &header, &mut sealed).unwrap();
    assert_eq!(
        sealed,
        hex("d31a8d34648e60db7b86afbc53ef7ec2 a4aded51296e08fea9e2b5a736ee62d6 \
             3dbea45e8ca9671282fafb69da92728b 1a71de0a9e060b2905d6a5b67ecd3b36 \
             92ddbd7f2d778b8c9803aee328091b58 fab324e4fad675945585808b4831d7bc \
             3ff4def08e4b7a9de576d26586cec64b 6116")
    );
    assert_eq!(tag.to_vec(), hex("1ae10b594f09e26a7e902ecbd0600691"));
    sealed.extend(tag);
    let length = cipher.open(nonce, &header, &mut sealed).unwrap();
    assert_eq!(&sealed[..length], text);
}

/// RFC 5903, 8.1.
#[test]
fn rfc_5903_p256() {
    let own = hex("C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433");
    let peer = hex("04 D12DFB5289C8D4F81208B70270398C342296970A0BCCB74C736FC7554494BF63 \
        56FBF3CA366CC23E8157854C13C58D6AAC23F046ADA30F8353E74F33039872AB");
    let exchange = NistExchange::new(NamedGroup::secp256r1, p256::SecretKey::from_slice(&own).unwrap());
    let public = hex("04 DAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C3772581180 \
        5271A0461CDB8252D61F1C456FA3E59AB1F45B33ACCF5F58389E0577B8990BB3");
    assert_eq!(exchange.pub_key(), public);
    let shared = Box::new(exchange).complete(&peer).unwrap();
    assert_eq!(
        shared.secret_bytes(),
        hex("D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE")
    );
}

/// RFC 5903, 8.2.
#[test]
fn rfc_5903_p384() {
    let own = hex(
        "099F3C7034D4A2C699884D73A375A67F7624EF7C6B3C0F160647B67414DCE655E35B538041E649EE3FAEF896783AB194",
    );
    let peer = hex(
        "04 E558DBEF53EECDE3D3FCCFC1AEA08A89A987475D12FD950D83CFA41732BC509D0D1AC43A0336DEF96FDA41D0774A3571 \
        DCFBEC7AACF3196472169E838430367F66EEBE3C6E70C416DD5F0C68759DD1FFF83FA40142209DFF5EAAD96DB9E6386C",
    );
    let exchange = NistExchange::new(NamedGroup::secp384r1, p384::SecretKey::from_slice(&own).unwrap());
    let shared = Box::new(exchange).complete(&peer).unwrap();
    assert_eq!(
        shared.secret_bytes(),
        hex(
            "11187331C279962D93D604243FD592CB9D0A926F422E47187521287E7156C5C4D603135569B9E9D09CF5D4A270F59746"
        )
    );
}

/// RFC 4231, test cases 2 and 6: a short key, and one that is longer than a block.
#[test]
fn rfc_4231_hmac() {
    let question: &[&[u8]] = &[b"what do ya want ", b"for nothing?"];
    let long = b"Test Using Larger Than Block-Size Key - Hash Key First";
    assert_eq!(
        HMAC_SHA256.with_key(b"Jefe").sign(question).as_ref(),
        hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    );
    assert_eq!(
        HMAC_SHA256.with_key(&[0xaa; 131]).sign(&[long]).as_ref(),
        hex("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
    );
    assert_eq!(
        HMAC_SHA384.with_key(b"Jefe").sign(question).as_ref(),
        hex(
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"
        )
    );
    assert_eq!(
        HMAC_SHA384.with_key(&[0xaa; 131]).sign(&[long]).as_ref(),
        hex(
            "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952"
        )
    );
    assert_eq!((HMAC_SHA256.hash_output_len(), HMAC_SHA384.hash_output_len()), (32, 48));
}

/// FIPS 180-4's example "abc", in one piece, in two, and with a fork between.
#[test]
fn hashes_of_a_transcript() {
    let sha256 = hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    let sha384 = hex(
        "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
    );
    for (hash, expected) in [(&SHA256 as &dyn Hash, sha256), (&SHA384, sha384)] {
        assert_eq!(hash.hash(b"abc").as_ref(), expected);
        let mut running = hash.start();
        running.update(b"a");
        let mut fork = running.fork();
        running.update(b"bc");
        assert_eq!(running.fork_finish().as_ref(), expected);
        assert_eq!(running.finish().as_ref(), expected);
        fork.update(b"bc");
        assert_eq!(fork.finish().as_ref(), expected);
        assert_eq!(hash.output_len(), expected.len());
    }
}
