//! TLS to real servers: Xvnc with certificates, and QEMU's VNC server; who is not what it says is told with what to compare.

use cartridge_supervise::{CommandLine, ProcessHandle, spawn};
use vmtools::display::rfb::{RfbError, RfbSource, Trust};

use crate::servers::{Said, Xvnc, end, free_port, until};
use crate::viewer::view;
use crate::xvnc::{certificates, xvnc};

/// What a source meets, once its server listens.
async fn meets(source: &RfbSource, xvnc: &Xvnc) -> Result<(), RfbError> {
    let mut met = Err(RfbError::PasswordWanted);
    until("the server", xvnc, || {
        met = source.meet();
        !matches!(met, Err(RfbError::Connect { .. }))
    })
    .await;
    met
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_shown_that_proves_who_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let fingerprint = certificates(dir.path());
    let authority = Trust::Authority(dir.path().join("ca-cert.pem"));
    for (kind, password) in [("X509None", None), ("X509Vnc", Some("secret"))] {
        let (xvnc, address) = xvnc(dir.path(), kind);
        for trust in [Trust::Certificate(fingerprint), authority.clone()] {
            let mut source = RfbSource::tcp(&address).with_trust(trust);
            if let Some(password) = password {
                source = source.with_password(password);
            }
            let viewer = view(source);
            until("a picture", &xvnc, || viewer.screen.live()).await;
            xvnc.draw();
            let rgba = xvnc.picture().2;
            until("the pattern", &xvnc, || viewer.screen.snapshot().is_some_and(|frame| frame.rgba == rgba)).await;
            end(viewer).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_prove_it_is_told_with_what_to_compare() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let fingerprint = certificates(dir.path());
    let unrelated = certificates(other.path());
    let (server, address) = xvnc(dir.path(), "X509Vnc");
    let plain = RfbSource::tcp(&address).with_password("secret");
    let unknown = meets(&plain, &server).await.unwrap_err();
    assert!(matches!(unknown, RfbError::CertificateUnknown { fingerprint: told } if told == fingerprint), "{unknown}");
    assert!(unknown.to_string().contains(&fingerprint.to_string()), "{unknown}");
    for trust in [Trust::Certificate(unrelated), Trust::Authority(other.path().join("ca-cert.pem"))] {
        let wrong = meets(&plain.clone().with_trust(trust), &server).await.unwrap_err();
        assert!(
            matches!(wrong, RfbError::CertificateWrong { fingerprint: told, .. } if told == fingerprint),
            "{wrong}"
        );
    }
    let trusted = RfbSource::tcp(&address).with_trust(Trust::Certificate(fingerprint));
    let wrong = meets(&trusted.clone().with_password("Secret"), &server).await.unwrap_err();
    assert!(matches!(wrong, RfbError::PasswordWrong { .. }), "{wrong}");
    let wanted = meets(&trusted, &server).await.unwrap_err();
    assert!(matches!(wanted, RfbError::PasswordWanted), "{wanted}");
    let no_file = trusted.with_trust(Trust::Authority(dir.path().join("absent.pem")));
    let unusable = meets(&no_file, &server).await.unwrap_err();
    assert!(
        matches!(&unusable, RfbError::Authority { .. }) && unusable.to_string().contains("absent.pem"),
        "{unusable}"
    );

    // TLS without a certificate, and none at all where one was to be checked.
    let (anonymous, address) = xvnc(dir.path(), "TLSVnc");
    let refused = meets(&RfbSource::tcp(&address).with_password("secret"), &anonymous).await.unwrap_err();
    assert!(matches!(&refused, RfbError::Anonymous { offered } if offered == &[258]), "{refused}");
    let (open, address) = xvnc(dir.path(), "VncAuth");
    let trusted = RfbSource::tcp(&address).with_password("secret").with_trust(Trust::Certificate(fingerprint));
    let refused = meets(&trusted, &open).await.unwrap_err();
    assert!(matches!(&refused, RfbError::NoTls { offered } if offered == &[2]), "{refused}");
    // A name and a password inside TLS.
    let (named, address) = xvnc(dir.path(), "X509Plain");
    let trusted = RfbSource::tcp(&address).with_password("secret").with_trust(Trust::Certificate(fingerprint));
    let refused = meets(&trusted, &named).await.unwrap_err();
    assert!(matches!(refused, RfbError::UserWanted), "{refused}");
    let refused = meets(&trusted.with_user("nobody at all"), &named).await.unwrap_err();
    assert!(matches!(refused, RfbError::PasswordWrong { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_network_tls_with_a_certificate_comes_before_a_password_and_elsewhere_the_password() {
    let dir = tempfile::tempdir().unwrap();
    let fingerprint = certificates(dir.path());
    let secret = |source: RfbSource| source.with_password("secret");
    // It offers what asks for least as well, first or last.
    for kinds in ["VncAuth,X509Vnc", "X509None,VncAuth", "None,X509Vnc"] {
        let (server, address) = xvnc(dir.path(), kinds);
        let unknown = meets(&secret(RfbSource::tcp(&address)), &server).await.unwrap_err();
        assert!(matches!(unknown, RfbError::CertificateUnknown { .. }), "{kinds}: {unknown}");
        meets(&secret(RfbSource::tcp(&address)).with_trust(Trust::Certificate(fingerprint)), &server).await.unwrap();
    }
    // TLS without a certificate is none.
    for kinds in ["TLSVnc,VncAuth", "TLSNone,None"] {
        let (server, address) = xvnc(dir.path(), kinds);
        meets(&secret(RfbSource::tcp(&address)), &server).await.unwrap();
        let trusted = secret(RfbSource::tcp(&address)).with_trust(Trust::Certificate(fingerprint));
        let refused = meets(&trusted, &server).await.unwrap_err();
        assert!(matches!(refused, RfbError::Anonymous { .. }), "{kinds}: {refused}");
    }
    // Nobody is between us and a unix socket.
    let (_dir, path) = Xvnc::socket();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let socket = ["-rfbport", "-1", "-rfbunixpath", path.to_str().unwrap()];
    let (certificate, key) = (file("server-cert.pem"), file("server-key.pem"));
    let kinds = ["-SecurityTypes", "X509Vnc,VncAuth", "-X509Cert", &certificate, "-X509Key", &key];
    let server = Xvnc::start(&[&kinds[..], &socket].concat());
    meets(&secret(RfbSource::new(&path)), &server).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stalls_inside_tls_is_told_as_that() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut line, _) = listener.accept().unwrap();
        // VeNCrypt 0.2 with X509None, as rfbproto says, and then not a word of TLS.
        for (says, hears) in
            [(&b"RFB 003.008\n"[..], 12), (&[1, 19], 1), (&[0, 2], 2), (&[0, 1, 0, 0, 1, 4], 4), (&[1], 0)]
        {
            line.write_all(says).unwrap();
            line.read_exact(&mut vec![0; hears]).unwrap();
        }
        let _ = line.read_to_end(&mut Vec::new());
    });
    let met = tokio::task::spawn_blocking(move || RfbSource::tcp(&address).meet()).await.unwrap();
    let told = met.unwrap_err().to_string();
    assert!(told.contains("said nothing more for 5 s while beginning TLS"), "{told}");
    serving.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn qemu_is_shown_inside_tls() {
    let dir = tempfile::tempdir().unwrap();
    let fingerprint = certificates(dir.path());
    let port = free_port();
    let credentials = format!("tls-creds-x509,id=tls0,endpoint=server,verify-peer=no,dir={}", dir.path().display());
    let display = format!("127.0.0.1:{},tls-creds=tls0", i32::from(port) - 5900);
    let line =
        CommandLine::new("qemu-system-x86_64").args(["-machine", "q35,accel=tcg", "-m", "64", "-display", "none"]);
    let said = Said::default();
    let _qemu: ProcessHandle = spawn(&line.args(["-object", &credentials, "-vnc", &display]), said.clone()).unwrap();
    let source = RfbSource::tcp(&format!("127.0.0.1:{port}")).with_trust(Trust::Certificate(fingerprint));
    let viewer = view(source);
    let end_at = std::time::Instant::now() + crate::harness::SOON;
    while viewer.screen.snapshot().is_none_or(|frame| frame.is_uniform()) {
        assert!(std::time::Instant::now() < end_at, "no picture; QEMU says {}", said.text());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    end(viewer).await;
}
