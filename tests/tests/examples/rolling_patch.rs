//! `rolling-patch`: four machines are upgraded and restarted, and nobody who asks the balancer notices; never more than a
//! batch is out of service; a kill, and a machine that fails, change nothing of that.

use std::collections::BTreeSet;

use anneal_tests::journal;
use anneal_tests::testbed::{Flavour, Host};
use anneal_tests::until::{LONG, SOON, until};

use crate::fixture::{Example, get, meanwhile, short};

/// nginx, and a package of the machine's own in its first version.
const WEB: &str = "apt-get update -qq && apt-get install -y -qq nginx >/dev/null 2>&1 && systemctl start nginx && sh /srv/release 1 : && \
    dpkg -i /srv/apt/site_1_all.deb >/dev/null";

/// `release VERSION COMMAND`: the package lies in the machine's apt repository; installing it runs the command.
const RELEASE: &str = r#"set -e
rm -rf /tmp/site && mkdir -p /tmp/site/DEBIAN /tmp/site/var/www/html && cd /tmp/site
printf 'Package: site\nVersion: %s\nArchitecture: all\nMaintainer: nobody <nobody@site.test>\nDescription: site\n' "$1" >DEBIAN/control
printf '#!/bin/sh\nset -e\ntouch /run/reboot-required\n%s\n' "$2" >DEBIAN/postinst && chmod 755 DEBIAN/postinst
echo "version $1" >var/www/html/version
deb=site_$1_all.deb
dpkg-deb --build . /srv/apt/$deb >/dev/null && cd /srv/apt
{ dpkg-deb --field $deb; printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' $deb $(stat -c %s $deb) $(sha256sum $deb | cut -d' ' -f1); } >>Packages
"#;

const BALANCER: &str = "defaults
    mode http
    timeout connect 1s
    timeout client 20s
    timeout server 20s
frontend all
    bind :80
    stats enable
    stats uri /stats
    default_backend web
backend web
    option httpchk GET /version
    default-server check inter 200ms fall 3 rise 2
";

struct Fleet {
    webs: Vec<Host>,
    balancer: Host,
}

impl Fleet {
    fn up() -> Fleet {
        let webs: Vec<Host> = (1..=4).map(|n| Host::up(&format!("web{n}"), Flavour::Bare)).collect();
        let balancer = Host::up("lb", Flavour::Bare);
        std::thread::scope(|scope| {
            for web in &webs {
                scope.spawn(|| {
                    web.install("/srv/release", RELEASE);
                    web.sh(WEB)
                });
            }
        });
        let mut servers = String::new();
        for web in &webs {
            servers += &format!("    server {} {}:80\n", short(web), web.address());
        }
        balancer.sh("apt-get update -qq && apt-get install -y -qq haproxy socat >/dev/null 2>&1");
        let socket = "global\n    stats socket /run/haproxy/admin.sock mode 660 level admin\n";
        balancer.install("/etc/haproxy/haproxy.cfg", &format!("{socket}{BALANCER}{servers}"));
        balancer.sh("systemctl restart haproxy");
        let fleet = Fleet { webs, balancer };
        until("all servers to be up", SOON, || fleet.out().is_empty().then_some(()));
        fleet
    }

    /// The same release on all machines but one, where installing it runs a command.
    fn release(&self, version: &str, on: &str, command: &str) {
        for web in &self.webs {
            web.exec(&["sh", "/srv/release", version, if short(web) == on { command } else { ":" }]);
        }
    }

    /// The servers that the balancer sends nobody to.
    fn out(&self) -> BTreeSet<String> {
        let (_, csv) = get(&self.balancer, "/stats;csv").expect("the balancer's figures");
        let lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let web = lines.filter(|fields| fields[0] == "web" && fields[1] != "BACKEND");
        web.filter(|fields| !fields[17].starts_with("UP")).map(|fields| fields[1].to_owned()).collect()
    }

    fn versions(&self) -> Vec<String> {
        self.webs.iter().map(|web| web.sh("cat /var/www/html/version").trim().to_owned()).collect()
    }

    fn boots(&self) -> Vec<String> {
        self.webs.iter().map(|web| web.sh("cat /proc/sys/kernel/random/boot_id")).collect()
    }

    /// Asks the balancer all the time while something happens: no request may fail, and no more than so many servers be out.
    fn stays_in_service(&self, most: usize, what: impl FnOnce()) {
        let (mut asked, mut failed, mut seen) = (0, Vec::new(), BTreeSet::new());
        let ask = || {
            asked += 1;
            failed.extend(Some(get(&self.balancer, "/version")).filter(|answer| !matches!(answer, Some((200, _)))));
        };
        let watch = || {
            let out = self.out();
            assert!(out.len() <= most, "out at once: {out:?}");
            seen.extend(out);
        };
        meanwhile(ask, || meanwhile(watch, what));
        assert!(failed.is_empty(), "{} of {asked} requests failed: {failed:?}", failed.len());
        assert!(asked > 100 && seen.len() >= most, "asked {asked} times, and out were {seen:?}");
    }
}

#[test]
fn a_fleet_is_patched_and_restarted_while_it_serves() {
    let fleet = Fleet::up();
    let webs: Vec<&Host> = fleet.webs.iter().collect();
    let example = Example::new("rolling-patch", &[("web", &webs), ("balancer", &[&fleet.balancer])]);
    let boots = fleet.boots();
    fleet.release("2", "", ":");

    fleet.stays_in_service(2, || {
        let ended = example.run(0, &["drain=5s"]);
        assert_eq!(ended.stdout, "restarted = 4\n");
    });
    assert_eq!(fleet.versions(), ["version 2"; 4]);
    assert!(fleet.boots().iter().zip(&boots).all(|(now, before)| now != before), "not all were restarted");
    assert!(fleet.out().is_empty());

    // Killed while the second batch is out, and resumed.
    fleet.release("3", "", ":");
    fleet.stays_in_service(2, || {
        let running = example.start(&["drain=5s"]);
        running.event("the second machine to be upgraded", LONG, |entry| {
            journal::succeeded("upgrade")(entry) && format!("{:?}", entry.event).contains("web2")
        });
        running.kill();
        assert!(!fleet.out().is_empty(), "nobody was out when it was killed");
        example.anneal.expect(0, ["resume", &example.newest()]);
    });
    assert_eq!(fleet.versions(), ["version 3"; 4]);
    assert!(fleet.out().is_empty(), "a server was left out");
    let journal = example.anneal.journal(&example.newest());
    let upgrades = journal.iter().filter(|entry| journal::succeeded("upgrade")(entry)).count();
    assert_eq!(upgrades, 4, "a machine was upgraded twice");
    assert!(journal.iter().any(journal::succeeded("restore")));

    // The first machine's release does not serve: it is left out and named, and no other is begun.
    fleet.release("4", "web1", "systemctl disable --now nginx");
    fleet.stays_in_service(1, || {
        example.run(1, &["drain=5s", "patience=10s"]).says(&["well@web1"]);
    });
    assert_eq!(fleet.out(), BTreeSet::from(["web1".to_owned()]));
    example.anneal.expect(0, ["logs", &example.newest(), "restore"]).says(&["web1\n"]);
    assert_eq!(fleet.versions(), ["version 4", "version 3", "version 3", "version 3"]);
}
