//! Certificates made for one test, and servers that have them.

use std::net::IpAddr;

use openssl::{
    asn1::Asn1Time,
    bn::BigNum,
    ec::{EcGroup, EcKey},
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    ssl::{SslAcceptor, SslAcceptorBuilder, SslMethod},
    x509::{
        X509, X509Name,
        extension::{BasicConstraints, SubjectAlternativeName},
    },
};

use crate::net::tls::{Identity, TlsOptions, Trust};

/// A certificate and its key.
pub(crate) struct Certified {
    pub(crate) certificate: X509,
    pub(crate) key: PKey<Private>,
}

impl Certified {
    /// Issues a certificate for `name` (a DNS name or an address), valid from and to so many days
    /// from now, signed by `issuer` or by itself.
    pub(crate) fn issue(name: &str, days: (i64, i64), issuer: Option<&Self>) -> Self {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        Self::issue_for(key, name, days, issuer)
    }

    pub(crate) fn issue_for(
        key: PKey<Private>,
        name: &str,
        days: (i64, i64),
        issuer: Option<&Self>,
    ) -> Self {
        let at = |days: i64| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            let now = i64::try_from(now.unwrap().as_secs()).unwrap();
            Asn1Time::from_unix(now + days * 86400).unwrap()
        };
        let mut subject = X509Name::builder().unwrap();
        subject.append_entry_by_text("CN", name).unwrap();
        let subject = subject.build();
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        let serial = BigNum::from_u32(rand::random()).unwrap();
        builder
            .set_serial_number(&serial.to_asn1_integer().unwrap())
            .unwrap();
        builder.set_subject_name(&subject).unwrap();
        builder.set_not_before(&at(days.0)).unwrap();
        builder.set_not_after(&at(days.1)).unwrap();
        builder.set_pubkey(&key).unwrap();
        let issuer_name = issuer.map_or(&*subject, |issuer| issuer.certificate.subject_name());
        builder.set_issuer_name(issuer_name).unwrap();
        let mut constraints = BasicConstraints::new();
        if issuer.is_none() {
            constraints.ca();
        }
        builder
            .append_extension(constraints.critical().build().unwrap())
            .unwrap();
        let mut names = SubjectAlternativeName::new();
        if name.parse::<IpAddr>().is_ok() {
            names.ip(name);
        } else {
            names.dns(name);
        }
        let names = names.build(&builder.x509v3_context(None, None)).unwrap();
        builder.append_extension(names).unwrap();
        let signer = issuer.map_or(&key, |issuer| &issuer.key);
        builder.sign(signer, MessageDigest::sha256()).unwrap();
        Self {
            certificate: builder.build(),
            key,
        }
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::Anchors(vec![self.certificate.to_der().unwrap()])
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity_with(self.key.private_key_to_pem_pkcs8().unwrap())
    }

    pub(crate) fn identity_with(&self, key: Vec<u8>) -> Identity {
        Identity {
            certificates: self.certificate.to_pem().unwrap(),
            key,
            names: names(),
        }
    }
}

/// What the files of an identity are called.
pub(crate) fn names() -> (String, String) {
    ("client_cert".to_owned(), "client_key".to_owned())
}

/// A server's certificate for "example.com" and the authority that it is from.
pub(crate) fn authority_and_server() -> (Certified, Certified) {
    let authority = Certified::issue("authority", (-1, 1), None);
    let server = Certified::issue("example.com", (-1, 1), Some(&authority));
    (authority, server)
}

pub(crate) fn acceptor(server: &Certified) -> SslAcceptorBuilder {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    acceptor.set_certificate(&server.certificate).unwrap();
    acceptor.set_private_key(&server.key).unwrap();
    acceptor
}

pub(crate) fn trusting(authority: &Certified) -> TlsOptions {
    TlsOptions {
        trust: authority.trust(),
        ..TlsOptions::default()
    }
}
