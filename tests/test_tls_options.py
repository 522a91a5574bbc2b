"""How the TLS arguments of ``connect`` become plain values for the core."""

from __future__ import annotations

import pickle
import ssl
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

from support import core_options
from websocket_rs._client.tls import anchors as trust_anchors
from websocket_rs._client.tls.arguments import TlsArguments, interpret


if TYPE_CHECKING:
    import os
    from collections.abc import Callable


def interpret_wss(
    context: ssl.SSLContext | bool | None = None,
    ca_file: str | os.PathLike[str] | None = None,
    client_cert: str | os.PathLike[str] | None = None,
    client_key: str | os.PathLike[str] | None = None,
    server_hostname: str | None = None,
) -> TlsArguments:
    arguments = interpret(
        True, context, ca_file, client_cert, client_key, server_hostname
    )
    assert arguments is not None
    # The core checks the values.
    core_options("wss://localhost/").with_tls(arguments)
    return arguments


def der(pem: trustme.Blob) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem.bytes().decode())


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def client(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("client@example.com")


@pytest.fixture
def context(authority: trustme.CA) -> ssl.SSLContext:
    """A context for clients that trusts one authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


@pytest.fixture
def lazy_directory(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A system whose only authority is in a directory, where OpenSSL finds it later."""
    directory = tmp_path / "certs"
    directory.mkdir()
    certificate = directory / "authority.pem"
    authority.cert_pem.write_to_path(certificate)
    command = ["openssl", "x509", "-noout", "-subject_hash", "-in", str(certificate)]
    subject = subprocess.run(command, capture_output=True, check=True, text=True)
    certificate.rename(directory / f"{subject.stdout.strip()}.0")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing"))
    monkeypatch.setenv("SSL_CERT_DIR", str(directory))
    return directory


# --- Without a context


def test_interpret_ws() -> None:
    """Nothing is to be set up for ws, and nothing can be asked for."""
    assert interpret(False, None, None, None, None, None) is None


@pytest.mark.parametrize(
    ("position", "name"),
    list(enumerate(["ssl", "ca_file", "client_cert", "client_key", "server_hostname"])),
)
def test_interpret_ws_with_tls_argument(position: int, name: str) -> None:
    """Every TLS argument is refused for ws, by its name."""
    arguments: list[object] = [None] * 5
    arguments[position] = True if name == "ssl" else "x"
    with pytest.raises(ValueError, match=f"^{name} argument is incompatible with a ws"):
        interpret(False, *arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("default", [None, True])
def test_interpret_default(default: bool | None) -> None:
    """Without a context, everything is verified against the system's authorities."""
    assert interpret_wss(default) == TlsArguments(
        verify="full",
        anchors=None,
        certificate=None,
        key=None,
        min_version="TLSv1.2",
        max_version=None,
        alpn=[],
    )


@pytest.mark.parametrize("wrong", [False, "yes", 1, object()])
def test_interpret_wrong_type_of_context(wrong: bool) -> None:
    """What is not a context is a TypeError."""
    with pytest.raises(TypeError, match=r"must be an ssl\.SSLContext"):
        interpret_wss(wrong)


def test_interpret_server_hostname() -> None:
    """An empty name, which would match nothing or everything, is refused."""
    interpret_wss(server_hostname="example.com")
    with pytest.raises(ValueError, match="server_hostname must not be empty"):
        interpret_wss(server_hostname="")
    with pytest.raises(TypeError, match="server_hostname must be a str, not bytes"):
        interpret_wss(server_hostname=b"example.com")  # type: ignore[arg-type]


def test_import_does_not_import_ssl() -> None:
    """The ssl module is imported only where a context is given."""
    code = (
        "import sys, websocket_rs.sync_client\n"
        "from websocket_rs._client.tls.arguments import interpret\n"
        "interpret(True, None, None, None, None, None)\n"
        "assert 'ssl' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-I", "-c", code], check=True)


# --- Files


def test_interpret_ca_file(authority: trustme.CA, tmp_path: Path) -> None:
    """Every certificate of the bundle is an anchor, and the system's are not."""
    other = trustme.CA()
    path = tmp_path / "ca.pem"
    path.write_bytes(
        b"# a comment\n" + authority.cert_pem.bytes() + other.cert_pem.bytes()
    )
    expected = [der(authority.cert_pem), der(other.cert_pem)]
    assert interpret_wss(ca_file=path).anchors == expected
    assert interpret_wss(True, ca_file=str(path)).anchors == expected


def test_interpret_ca_file_with_context(context: ssl.SSLContext) -> None:
    """Trust is given in one place only."""
    with pytest.raises(ValueError, match="ca_file cannot be combined"):
        interpret_wss(context, ca_file="ca.pem")


@pytest.mark.parametrize("argument", ["ca_file", "client_cert"])
def test_interpret_missing_file(argument: str, tmp_path: Path) -> None:
    """A file that cannot be read is the OSError that open() raises."""
    path = tmp_path / "missing.pem"
    with pytest.raises(FileNotFoundError) as raised:
        interpret_wss(**{argument: path})
    assert raised.value.filename == str(path)


@pytest.mark.parametrize("argument", ["ca_file", "client_cert"])
def test_interpret_file_without_certificate(argument: str, tmp_path: Path) -> None:
    """A file without a certificate is named."""
    path = tmp_path / "empty.pem"
    path.write_bytes(b"nothing\n")
    with pytest.raises(ValueError, match=r"empty\.pem' holds no certificate"):
        interpret_wss(**{argument: path})


def test_interpret_file_with_damaged_certificate(tmp_path: Path) -> None:
    """A certificate that is not base64 is told with its file."""
    path = tmp_path / "damaged.pem"
    path.write_bytes(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")
    with pytest.raises(ValueError, match=r"damaged\.pem.*not valid PEM"):
        interpret_wss(ca_file=path)


def test_interpret_file_descriptor() -> None:
    """A number is not a path, although open() would take it."""
    with pytest.raises(TypeError):
        interpret_wss(ca_file=0)  # type: ignore[arg-type]


def test_interpret_client_cert(client: trustme.LeafCert, tmp_path: Path) -> None:
    """Certificate and key may be in two files or in one."""
    certificate, key = tmp_path / "client.pem", tmp_path / "client.key"
    client.cert_chain_pems[0].write_to_path(certificate)
    client.private_key_pem.write_to_path(key)
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())

    arguments = interpret_wss(client_cert=certificate, client_key=key)
    assert arguments.certificate == certificate.read_bytes()
    assert arguments.key == key.read_bytes()
    arguments = interpret_wss(client_cert=both)
    assert arguments.certificate == arguments.key == both.read_bytes()


def test_interpret_client_cert_with_context(
    context: ssl.SSLContext,
    authority: trustme.CA,
    client: trustme.LeafCert,
    tmp_path: Path,
) -> None:
    """A client certificate goes along with a context."""
    path = tmp_path / "both.pem"
    client.private_key_and_cert_chain_pem.write_to_path(path)
    arguments = interpret_wss(context, client_cert=path)
    assert arguments.certificate == path.read_bytes()
    assert arguments.anchors == [der(authority.cert_pem)]


def test_interpret_client_key_without_client_cert() -> None:
    """A key alone is of no use."""
    with pytest.raises(ValueError, match="client_key requires client_cert"):
        interpret_wss(client_key="client.key")


def test_interpret_client_cert_without_key(
    client: trustme.LeafCert, tmp_path: Path
) -> None:
    """A missing key is told with the file where it was expected."""
    path = tmp_path / "client.pem"
    client.cert_chain_pems[0].write_to_path(path)
    with pytest.raises(ValueError, match=r"client\.pem' holds no private key.*as cl"):
        interpret_wss(client_cert=path)
    with pytest.raises(ValueError, match=r"client_key .*client\.pem' holds no private"):
        interpret_wss(client_cert=path, client_key=path)


@pytest.mark.parametrize("traditional", [False, True])
def test_interpret_encrypted_key(
    traditional: bool, client: trustme.LeafCert, tmp_path: Path
) -> None:
    """An encrypted key is refused, with the way to decrypt it."""
    path, plain = tmp_path / "client.key", tmp_path / "plain.key"
    client.private_key_pem.write_to_path(plain)
    form = ["-traditional"] if traditional else []
    command = ["openssl", "pkey", "-aes128", "-passout", "pass:secret", *form]
    subprocess.run([*command, "-in", plain, "-out", path], check=True)
    certificate = tmp_path / "client.pem"
    client.cert_chain_pems[0].write_to_path(certificate)
    with pytest.raises(ValueError, match=r"client\.key' is encrypted; .*openssl pkey"):
        interpret_wss(client_cert=certificate, client_key=path)


def test_arguments_are_plain(client: trustme.LeafCert, tmp_path: Path) -> None:
    """The arguments can be pickled, and do not show the key."""
    path = tmp_path / "both.pem"
    client.private_key_and_cert_chain_pem.write_to_path(path)
    arguments = interpret_wss(client_cert=path)
    assert pickle.loads(pickle.dumps(arguments)) == arguments
    assert "PRIVATE" not in repr(arguments)


# --- What a context says


def test_context_is_honoured(context: ssl.SSLContext, authority: trustme.CA) -> None:
    """Anchors and verification are those of the context."""
    assert interpret_wss(context) == TlsArguments(anchors=[der(authority.cert_pem)])
    context.verify_mode = ssl.CERT_OPTIONAL
    assert interpret_wss(context).verify == "full"
    context.check_hostname = False
    assert interpret_wss(context).verify == "without-hostname"
    context.verify_mode = ssl.CERT_NONE
    assert interpret_wss(context) == TlsArguments(verify="off")


def test_default_context_is_accepted() -> None:
    """A default context is accepted on every version of Python."""
    arguments = interpret_wss(ssl.create_default_context())
    assert arguments.verify == "full"
    assert arguments.anchors


def test_default_context_with_own_authority(
    authority: trustme.CA, tmp_path: Path
) -> None:
    """Only the given authority is trusted by a default context made with one."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    context = ssl.create_default_context(cafile=path)
    assert interpret_wss(context).anchors == [der(authority.cert_pem)]


def test_default_context_over_a_directory(
    lazy_directory: Path, authority: trustme.CA
) -> None:
    """Authorities that OpenSSL has not loaded yet are found out."""
    context = ssl.create_default_context()
    assert context.get_ca_certs() == []
    for _ in range(2):
        assert interpret_wss(context).anchors == [der(authority.cert_pem)]


def test_default_context_over_a_directory_with_another_authority(
    lazy_directory: Path, authority: trustme.CA
) -> None:
    """An authority that was added does not hide those of the directory."""
    other = trustme.CA()
    context = ssl.create_default_context()
    other.configure_trust(context)
    anchors = interpret_wss(context).anchors
    assert sorted(anchors or []) == sorted(
        [der(authority.cert_pem), der(other.cert_pem)]
    )


def test_default_context_over_a_directory_with_tls_1_3_alone(
    lazy_directory: Path, authority: trustme.CA
) -> None:
    """How authorities are found out does not depend on the context's versions."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    assert interpret_wss(context).anchors == [der(authority.cert_pem)]


@pytest.mark.parametrize("algorithm", [trustme.KeyType.RSA, trustme.KeyType.ECDSA])
def test_trust_anchors_of_each_kind_of_key(
    algorithm: trustme.KeyType, tmp_path: Path
) -> None:
    """A certificate is accepted or not whatever its kind of key."""
    authority = trustme.CA(key_type=algorithm)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    assert not trust_anchors._accepts(context, der(authority.cert_pem))
    authority.configure_trust(context)
    assert trust_anchors._accepts(context, der(authority.cert_pem))
    assert not trust_anchors._accepts(context, der(trustme.CA().cert_pem))


def test_context_that_trusts_nothing(lazy_directory: Path) -> None:
    """It does not come to trust the system."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(ValueError, match="trusts no certificate that can be read back"):
        interpret_wss(context)


def test_context_over_a_directory_of_its_own(
    lazy_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be found out is not replaced by the system's trust."""
    monkeypatch.delenv("SSL_CERT_DIR")
    monkeypatch.delenv("SSL_CERT_FILE")
    context = ssl.create_default_context(capath=lazy_directory)
    with pytest.raises(
        ValueError, match="those of a directory, capath, cannot be read"
    ):
        interpret_wss(context)


def test_context_that_trusts_a_certificate_of_no_authority(
    context: ssl.SSLContext, authority: trustme.CA
) -> None:
    """A trusted certificate that cannot be read back is not left out silently."""
    leaf = authority.issue_cert("example.com").cert_chain_pems[0]
    context.load_verify_locations(cadata=leaf.bytes().decode())
    with pytest.raises(NotImplementedError, match="pass its file as ca_file"):
        interpret_wss(context)


def test_context_is_not_changed(lazy_directory: Path) -> None:
    """Looking at a context leaves its settings as they were."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])

    def settings() -> list[object]:
        names = ["minimum_version", "maximum_version", "options", "verify_flags"]
        names += ["verify_mode", "check_hostname", "security_level", "keylog_filename"]
        return [getattr(context, name) for name in names] + [context.get_ciphers()]

    before = settings()
    interpret_wss(context)
    assert settings() == before


@pytest.mark.parametrize(
    ("minimum", "maximum", "expected"),
    [
        ("TLSv1_2", "MAXIMUM_SUPPORTED", ("TLSv1.2", None)),
        ("MINIMUM_SUPPORTED", "TLSv1_3", ("TLSv1.2", None)),
        ("TLSv1_2", "TLSv1_2", ("TLSv1.2", "TLSv1.2")),
        ("TLSv1_3", "TLSv1_3", ("TLSv1.3", None)),
        ("MAXIMUM_SUPPORTED", "MAXIMUM_SUPPORTED", ("TLSv1.3", None)),
    ],
)
def test_versions(
    context: ssl.SSLContext,
    minimum: str,
    maximum: str,
    expected: tuple[str, str | None],
) -> None:
    """The versions of the context are those of the core."""
    context.maximum_version = ssl.TLSVersion[maximum]
    context.minimum_version = ssl.TLSVersion[minimum]
    arguments = interpret_wss(context)
    assert (arguments.min_version, arguments.max_version) == expected


@pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLS is:DeprecationWarning")
def test_context_for_both_sides(authority: trustme.CA) -> None:
    """PROTOCOL_TLS, the default of SSLContext() before 3.10, is as good."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS)
    assert interpret_wss(context).verify == "off"
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    expected = TlsArguments("without-hostname", [der(authority.cert_pem)])
    assert interpret_wss(context) == expected


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (ssl.OP_NO_TLSv1_2, ("TLSv1.3", None)),
        (ssl.OP_NO_TLSv1_3, ("TLSv1.2", "TLSv1.2")),
        (ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1, ("TLSv1.2", None)),
    ],
)
# The options are deprecated, but what they say counts.
@pytest.mark.filterwarnings("ignore:ssl.OP_NO_:DeprecationWarning")
def test_versions_as_options(
    context: ssl.SSLContext, option: ssl.Options, expected: tuple[str, str | None]
) -> None:
    """Versions that are excluded by options are excluded."""
    context.options |= option
    with warnings.catch_warnings():
        # Only who sets the options is to be warned of them.
        warnings.simplefilter("error")
        arguments = interpret_wss(context)
    assert (arguments.min_version, arguments.max_version) == expected


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_versions_too_old(context: ssl.SSLContext) -> None:
    """Versions that are not spoken are not promised."""
    context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.raises(NotImplementedError, match="minimum_version TLSv1 "):
        interpret_wss(context)
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.raises(NotImplementedError, match="maximum_version TLSv1_1 "):
        interpret_wss(context)


@pytest.mark.filterwarnings("ignore:ssl.OP_NO_:DeprecationWarning")
def test_versions_none(context: ssl.SSLContext) -> None:
    """A context that allows no version is refused."""
    context.options |= ssl.OP_NO_TLSv1_2 | ssl.OP_NO_TLSv1_3
    with pytest.raises(ValueError, match="allows no version of TLS"):
        interpret_wss(context)


def test_alpn(context: ssl.SSLContext) -> None:
    """HTTP/1.1 can be offered, and nothing that it could be exchanged for."""
    context.set_alpn_protocols(["http/1.1"])
    assert interpret_wss(context).alpn == ["http/1.1"]
    for protocols in (["h2"], ["h2", "http/1.1"], ["http/1.1", "h2"]):
        context.set_alpn_protocols(protocols)
        with pytest.raises(ValueError, match='"h2" cannot be offered'):
            interpret_wss(context)


# --- What is refused


def set_verify_flag(context: ssl.SSLContext) -> None:
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


def set_no_renegotiation(context: ssl.SSLContext) -> None:
    context.options |= ssl.OP_NO_RENEGOTIATION


def set_legacy_connect(context: ssl.SSLContext) -> None:
    context.options |= 0x4  # OP_LEGACY_SERVER_CONNECT, which has a name since 3.12.


def set_post_handshake_auth(context: ssl.SSLContext) -> None:
    context.post_handshake_auth = True


def set_common_name(context: ssl.SSLContext) -> None:
    context.hostname_checks_common_name = False


def set_custom_object(context: ssl.SSLContext) -> None:
    context.sslobject_class = type("Custom", (ssl.SSLObject,), {})


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda context: context.set_ciphers("AES128-GCM-SHA256"), "cipher suites"),
        (
            lambda context: context.set_ciphers("DEFAULT:@SECLEVEL=3"),
            "security level 3",
        ),
        (lambda context: context.set_ecdh_curve("prime256v1"), "groups"),
        (set_verify_flag, "VERIFY_CRL_CHECK_LEAF"),
        (set_no_renegotiation, "OP_NO_RENEGOTIATION"),
        (set_legacy_connect, "context.options"),
        (set_post_handshake_auth, "post_handshake_auth"),
        (set_common_name, "hostname_checks_common_name"),
        (set_custom_object, "changes about"),
    ],
)
def test_setting_is_refused(
    context: ssl.SSLContext, change: Callable[[ssl.SSLContext], None], name: str
) -> None:
    """A setting that cannot be honoured is never ignored."""
    change(context)
    with pytest.raises(NotImplementedError, match=f"{name}.* cannot be honoured; "):
        interpret_wss(context)


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="is a default since 3.13")
def test_strict_verification_is_refused(context: ssl.SSLContext) -> None:
    """Strictness is refused where only the user can have asked for it."""
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with pytest.raises(NotImplementedError, match="VERIFY_X509_STRICT"):
        interpret_wss(context)


def test_server_context_is_refused() -> None:
    """A context for servers verifies nothing that a client needs."""
    with pytest.raises(ValueError, match="PROTOCOL_TLS_SERVER cannot be used"):
        interpret_wss(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


def test_subclass_that_verifies_by_itself_is_refused() -> None:
    """What a subclass does in its own way cannot be known."""

    class Verifying(ssl.SSLContext):
        def wrap_bio(self, *args: object, **kwargs: object) -> ssl.SSLObject:
            raise AssertionError

    with pytest.raises(NotImplementedError, match="Verifying changes about"):
        interpret_wss(Verifying(ssl.PROTOCOL_TLS_CLIENT))


def test_keylog_is_refused_unless_from_the_environment(
    context: ssl.SSLContext,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """SSLKEYLOGFILE, which changes every default context, makes a warning."""
    path = str(tmp_path / "keys")
    context.keylog_filename = path
    with pytest.raises(NotImplementedError, match="keylog_filename"):
        interpret_wss(context)
    monkeypatch.setenv("SSLKEYLOGFILE", path)
    interpret_wss(context)
    assert [record.name for record in caplog.records] == ["websocket_rs.tls"]
    assert Path(path).read_text().count("\n") <= 1
    context.keylog_filename = None  # type: ignore[assignment]  # It closes the file.
