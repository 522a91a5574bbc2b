//! A TLS acceptor with a certificate that it makes itself.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr},
    time::{SystemTime, UNIX_EPOCH},
};

use openssl::{
    asn1::Asn1Time,
    bn::{BigNum, MsbOption},
    ec::{Asn1Flag, EcGroup, EcKey},
    error::ErrorStack,
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    ssl::{SslAcceptor, SslMethod},
    x509::{
        X509, X509NameBuilder,
        extension::{
            AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, SubjectAlternativeName,
            SubjectKeyIdentifier,
        },
    },
};

/// A TLS acceptor with a fresh self-signed certificate, and that certificate in PEM form.
pub(super) fn self_signed_acceptor() -> io::Result<(SslAcceptor, String)> {
    let key = private_key()?;
    let certificate = self_signed_certificate(&key)?;
    // Not native-tls's acceptor: that one refuses TLS 1.3, which most servers speak today.
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls())?;
    acceptor.set_private_key(&key)?;
    acceptor.set_certificate(&certificate)?;
    // One recv(2) for all the records that have arrived, instead of two for each.
    acceptor.set_read_ahead(true);
    let pem = String::from_utf8(certificate.to_pem()?).map_err(io::Error::other)?;
    Ok((acceptor.build(), pem))
}

fn private_key() -> Result<PKey<Private>, ErrorStack> {
    let mut group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    group.set_asn1_flag(Asn1Flag::NAMED_CURVE);
    PKey::from_ec_key(EcKey::generate(&group)?)
}

/// A certificate that is its own trust anchor, but no authority for others.
fn self_signed_certificate(key: &PKey<Private>) -> io::Result<X509> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COMMONNAME, "localhost")?;
    let name = name.build();
    let mut serial = BigNum::new()?;
    serial.rand(159, MsbOption::MAYBE_ZERO, false)?;
    let unix_now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(io::Error::other)?;
    let now = i64::try_from(unix_now.as_secs()).map_err(io::Error::other)?;

    let mut builder = X509::builder()?;
    // The field counts from zero: this is X.509 version 3, the one with extensions.
    builder.set_version(2)?;
    builder.set_serial_number(&*serial.to_asn1_integer()?)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(&name)?;
    builder.set_pubkey(key)?;
    // A day of grace for clients whose clock is behind ours.
    builder.set_not_before(&*Asn1Time::from_unix(now - DAY)?)?;
    builder.set_not_after(&*Asn1Time::from_unix(now + 30 * DAY)?)?;
    builder.append_extension(BasicConstraints::new().critical().build()?)?;
    builder.append_extension(ExtendedKeyUsage::new().server_auth().build()?)?;
    let names = SubjectAlternativeName::new()
        .dns("localhost")
        .ip(&Ipv4Addr::LOCALHOST.to_string())
        .ip(&Ipv6Addr::LOCALHOST.to_string())
        .build(&builder.x509v3_context(None, None))?;
    builder.append_extension(names)?;
    let subject_key = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
    builder.append_extension(subject_key)?;
    let authority_key = AuthorityKeyIdentifier::new()
        .keyid(true)
        .build(&builder.x509v3_context(None, None))?;
    builder.append_extension(authority_key)?;
    builder.sign(key, MessageDigest::sha256())?;
    Ok(builder.build())
}

/// Seconds of a day.
const DAY: i64 = 24 * 60 * 60;
