//! Which certificates and keys are accepted, on both sides, and what is said of the others.

use openssl::{pkey::PKey, rsa::Rsa, ssl::SslVersion, symm::Cipher};

use super::*;

#[test]
fn certificates_that_do_not_prove_the_server_are_refused() {
    let (authority, server) = authority_and_server();
    let options = trusting(&authority);

    let (reason, hint) = refused(&server, &options, "example.org");
    assert_eq!(reason, "hostname mismatch");
    assert!(hint.contains("\"example.org\"") && hint.contains("server_hostname"));

    let (reason, hint) = refused(&server, &options, "::1");
    assert_eq!(reason, "IP address mismatch");
    assert!(hint.contains("\"::1\""));

    let itself = Certified::issue("example.com", (-1, 1), None);
    let (reason, _) = refused(&itself, &options, "example.com");
    assert_eq!(reason, "self-signed certificate");

    let expired = Certified::issue("example.com", (-2, -1), Some(&authority));
    let (reason, _) = refused(&expired, &options, "example.com");
    assert_eq!(reason, "certificate has expired");

    let future = Certified::issue("example.com", (1, 2), Some(&authority));
    let (reason, _) = refused(&future, &options, "example.com");
    assert!(
        reason.starts_with("certificate is not yet valid"),
        "{reason}"
    );

    let (reason, _) = refused(&server, &trusting(&itself), "example.com");
    assert_eq!(reason, "unable to get local issuer certificate");

    let (reason, hint) = refused(&server, &TlsOptions::default(), "example.com");
    assert_eq!(reason, "unable to get local issuer certificate");
    assert!(hint.contains("ca_file"), "{hint}");
}

#[test]
fn names_are_compared_as_certificates_carry_them() {
    let authority = Certified::issue("authority", (-1, 1), None);
    for (certified, name) in [
        ("example.com", "example.com."),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("::1", "[::1]"),
        ("fe80::1", "fe80::1%eth0"),
    ] {
        let server = Certified::issue(certified, (-1, 1), Some(&authority));
        let (socket, thread) = start(acceptor(&server), move |stream| {
            let is_name = certified.parse::<IpAddr>().is_err();
            let sent = stream.ssl().servername(openssl::ssl::NameType::HOST_NAME);
            assert_eq!(sent, is_name.then_some(certified));
            echo(stream);
        });
        let session = open(&trusting(&authority), name, &socket, 1 << 16).unwrap();
        round_trip(session, &socket);
        drop(socket);
        thread.join().unwrap();
    }
}

#[test]
fn names_that_no_server_can_have_are_refused() {
    for name in ["", ".", "a b", "a\0b", "exämple.com", "[]"] {
        let outcome = Session::open(&TlsOptions::default(), name, &mut |_, _| unreachable!());
        assert!(
            matches!(outcome, Err(Error::Tls(TlsError::Configuration(_)))),
            "{name:?}"
        );
    }
}

#[test]
fn less_verification_accepts_more() {
    let (authority, server) = authority_and_server();
    let itself = Certified::issue("example.com", (-2, -1), None);
    let without_name = TlsOptions {
        verify: Verify::WithoutHostname,
        ..trusting(&authority)
    };
    let off = TlsOptions {
        verify: Verify::Off,
        ..TlsOptions::default()
    };
    assert!(off.verification_is_off() && !without_name.verification_is_off());
    for (server, options) in [(&server, &without_name), (&itself, &off)] {
        let (socket, _) = start(acceptor(server), echo);
        round_trip(
            open(options, "example.org", &socket, 1 << 16).unwrap(),
            &socket,
        );
    }
    let (reason, _) = refused(&itself, &without_name, "example.org");
    assert_eq!(reason, "self-signed certificate");
}

#[test]
fn the_client_certificate_is_shown_where_the_server_requires_it() {
    let (authority, server) = authority_and_server();
    let rsa = Rsa::generate(2048).unwrap();
    let pkcs1 = rsa.private_key_to_pem().unwrap();
    let key = PKey::from_rsa(rsa).unwrap();
    let rsa = Certified::issue_for(key, "client", (-1, 1), Some(&authority));
    let ec = Certified::issue("client", (-1, 1), Some(&authority));
    let sec1 = ec.key.ec_key().unwrap().private_key_to_pem().unwrap();
    assert!(pkcs1.starts_with(b"-----BEGIN RSA PRIVATE KEY-----"));
    assert!(sec1.starts_with(b"-----BEGIN EC PRIVATE KEY-----"));
    let both = [ec.certificate.to_pem().unwrap(), sec1.clone()].concat();
    let both = Identity {
        certificates: both.clone(),
        key: both,
        names: names(),
    };
    for identity in [
        ec.identity(),
        rsa.identity_with(pkcs1),
        ec.identity_with(sec1),
        both,
    ] {
        let mut acceptor = acceptor(&server);
        require_client_certificate(&mut acceptor, &authority);
        let (socket, _) = start(acceptor, echo);
        let options = TlsOptions {
            identity: Some(identity),
            ..trusting(&authority)
        };
        round_trip(
            open(&options, "example.com", &socket, 1 << 16).unwrap(),
            &socket,
        );
    }
}

#[test]
fn a_missing_or_foreign_client_certificate_is_explained() {
    let (authority, server) = authority_and_server();
    let foreign = Certified::issue("client", (-1, 1), None);
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        for identity in [None, Some(foreign.identity())] {
            let mut acceptor = acceptor(&server);
            acceptor.set_min_proto_version(Some(version)).unwrap();
            acceptor.set_max_proto_version(Some(version)).unwrap();
            require_client_certificate(&mut acceptor, &authority);
            let (socket, _) = start(acceptor, echo);
            let expected = match &identity {
                None => "pass client_cert and client_key",
                Some(_) => "it may not accept the certificate in client_cert",
            };
            let options = TlsOptions {
                identity,
                ..trusting(&authority)
            };
            // With TLS 1.3 the handshake is over for the client before the server has judged.
            let text = match open(&options, "example.com", &socket, 1 << 16) {
                Err(error) => error.to_string(),
                Ok(mut session) => read(&mut session, &socket, &mut [0; 8])
                    .unwrap_err()
                    .to_string(),
            };
            assert!(text.contains("alert") && text.contains(expected), "{text}");
        }
    }
}

#[test]
fn keys_that_cannot_be_used_are_refused_before_anything_is_sent() {
    let certified = Certified::issue("client", (-1, 1), None);
    let other = Certified::issue("client", (-1, 1), None);
    let cipher = Cipher::aes_128_cbc();
    let encrypted = certified
        .key
        .private_key_to_pem_pkcs8_passphrase(cipher, b"secret");
    let ec = certified.key.ec_key().unwrap();
    let traditional = ec.private_key_to_pem_passphrase(cipher, b"secret").unwrap();
    for (identity, expected) in [
        (certified.identity_with(encrypted.unwrap()), "is encrypted"),
        (certified.identity_with(traditional), "is encrypted"),
        (
            certified.identity_with(b"nothing".to_vec()),
            "no private key",
        ),
        (
            certified.identity_with(
                b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_vec(),
            ),
            "cannot be used",
        ),
        (
            certified.identity_with(other.identity().key),
            "is not the key",
        ),
        (
            Identity {
                certificates: b"nothing".to_vec(),
                key: certified.identity().key,
                names: names(),
            },
            "no certificate",
        ),
    ] {
        let options = TlsOptions {
            identity: Some(identity),
            ..TlsOptions::default()
        };
        let text = configuration(&options);
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn the_key_is_not_in_the_debug_form() {
    let certified = Certified::issue("client", (-1, 1), None);
    let options = TlsOptions {
        identity: Some(certified.identity()),
        ..trusting(&certified)
    };
    let text = format!("{options:?}");
    assert!(text.contains("identity: Some(Identity { .. })"), "{text}");
    assert!(text.contains("Anchors(1 certificates)"), "{text}");
}
