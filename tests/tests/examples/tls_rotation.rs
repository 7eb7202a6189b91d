//! `tls-rotation`: a certificate that a handshake proves, or the old one as if nothing had been.

use anneal_tests::testbed::{Flavour, Host};

use crate::fixture::Example;

/// A CA, called `$1` and lying in `$2`.
const CA: &str = "mkdir -p $2 && cd $2 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
    -keyout ca.key -out ca.crt -days 30 -subj \"/CN=$1\" 2>/dev/null";

/// A server with a certificate of a day, which `ca.crt` in `/etc/ssl/private` has not signed.
const SERVER: &str = "apt-get update -qq && apt-get install -y -qq nginx >/dev/null 2>&1
    rm -f /etc/nginx/sites-enabled/default
    cd /etc/ssl/private
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout server.key -out server.crt \
        -days 1 -subj /CN=old.test -addext subjectAltName=DNS:www.test 2>/dev/null
    chmod 640 server.key && chgrp www-data server.key
    echo 'server { listen 443 ssl; ssl_certificate /etc/ssl/private/server.crt; ssl_certificate_key /etc/ssl/private/server.key; }' \
        >/etc/nginx/conf.d/tls.conf
    systemctl restart nginx";

/// What a new connection is answered with.
fn shown(host: &Host) -> String {
    host.sh("openssl s_client -connect 127.0.0.1:443 </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -issuer")
}

/// Everything in the folder of keys, with its mode and owner.
fn files(host: &Host) -> String {
    host.sh("cd /etc/ssl/private && sha256sum server.* && stat -c '%n %a %U %G' *")
}

#[test]
fn a_certificate_is_proved_by_a_handshake_or_the_old_one_is_back() {
    let (one, two) = (Host::up("www1", Flavour::Bare), Host::up("www2", Flavour::Bare));
    std::thread::scope(|scope| {
        for host in [&one, &two] {
            scope.spawn(|| host.sh(SERVER));
        }
    });
    let ca = |name: &str, folder: &str| two.exec(&["sh", "-c", CA, "sh", name, folder]);
    ca("Right", "/etc/anneal-ca");
    ca("Wrong", "/etc/wrong-ca");
    let trusted = two.sh("cat /etc/anneal-ca/ca.crt");
    for host in [&one, &two] {
        host.pipe(&["sh", "-c", "cat >/etc/ssl/private/ca.crt"], trusted.as_bytes());
    }
    let example = Example::new("tls-rotation", &[("server", &[&one, &two]), ("ca", &[&two])]);
    let all = || [&one, &two].map(|host| (shown(host), files(host)));
    let old = all();

    // A CA that clients do not trust: on the first server it is seen, undone and served as before; the second is not begun.
    let ended = example.run(1, &["name=www.test", "ca=/etc/wrong-ca"]);
    ended.says(&["a client of www.test does not get the new certificate", "rolled back"]);
    assert_eq!(all(), old, "not as it was");
    assert_eq!(example.state("key@www1"), "undone");

    let ended = example.run(0, &["name=www.test"]);
    assert_eq!(ended.stdout, "renewed = 2\n");
    let new = all();
    for ((shown, files), (before, _)) in new.iter().zip(&old) {
        assert!(shown.contains("Right") && !before.contains("Right"), "{shown}");
        assert!(files.contains("server.key 640 root www-data"), "{files}");
        assert!(!files.contains("before"), "the old key is left: {files}");
    }
    assert_ne!(new[0].0, new[1].0, "both have the same certificate");

    // Good for long enough: nothing is touched.
    assert_eq!(example.run(0, &["name=www.test"]).stdout, "renewed = 0\n");
    assert_eq!(all(), new);
    assert_eq!(example.run(0, &["name=www.test", "renew_before=365d"]).stdout, "renewed = 2\n");
    assert_ne!(all(), new);

    // The keys were made on the servers and have never been anywhere else.
    let key = one.sh("sed -n 2p /etc/ssl/private/server.key");
    let anywhere = example.anneal.data_files().into_iter().any(|(_, bytes)| {
        let key = key.trim().as_bytes();
        bytes.windows(key.len()).any(|part| part == key)
    });
    assert!(!anywhere, "the key is in the data folder");
}
