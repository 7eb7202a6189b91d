//! `disk-cleanup`: nothing goes below the threshold, nothing without being told, and then what is old and nothing else.

use anneal_tests::testbed::{Flavour, Host, sample_image};

use crate::fixture::Example;

#[test]
fn what_is_old_goes_where_the_disk_is_full_and_only_when_told() {
    let host = Host::up("machine", Flavour::Docker);
    let example = Example::new("disk-cleanup", &[("machine", &[&host])]);
    let image = std::fs::read(sample_image()).expect("the sample image");
    host.pipe(&["docker", "load", "--quiet"], &image);
    host.sh("docker tag sample:1 kept:1 && docker create --name stopped kept:1 true");
    // Another image, which no container uses: from a file system that is not that of `kept`.
    host.sh("mkdir /srv/root && head -c 2097152 /dev/zero >/srv/root/file && tar -C /srv/root -c . | docker import - unused:1");
    host.sh("mkdir -p /tmp/systemd-private-x\n\
         for file in /tmp/old \"/tmp/two\nlines\" /var/tmp/old /tmp/systemd-private-x/old /srv/old; do\n\
             head -c 1048576 /dev/zero >\"$file\" && touch -d '20 days ago' \"$file\"; done\n\
         head -c 1048576 /dev/zero >/tmp/young\n\
         head -c 1048576 /dev/zero >/tmp/read && touch -m -d '20 days ago' /tmp/read");
    let files = || host.sh("find /tmp /var/tmp /srv -name old -o -name young -o -name read -o -name 'two*' | sort");
    let images = || host.sh("docker image ls --format '{{.Repository}}' | sort");
    let (all, all_images) = (files(), images());
    assert_eq!(all_images, "kept\nsample\nunused\n");

    // Below the threshold: nothing is even looked for.
    let ended = example.run(0, &["apply=true", "threshold=100", "image_age=0s"]);
    assert_eq!((files(), images()), (all.clone(), all_images.clone()));
    assert!(ended.stdout.contains("0 MiB freed (journal 0, images 0, temporary files 0)"), "{}", ended.stdout);
    assert_eq!(example.state("temp@machine"), "skipped");

    // Above it, without being told to: it says what would go.
    let ended = example.run(0, &["threshold=0", "image_age=0s"]);
    assert_eq!((files(), images()), (all, all_images));
    assert!(
        ended.stdout.contains("could go (journal ") && ended.stdout.contains("images 2, temporary files 3)"),
        "{}",
        ended.stdout
    );
    let logs = example.anneal.expect(0, ["logs", &example.newest()]);
    logs.says(&["/tmp/old\n", "/var/tmp/old\n", "unused:1"]);
    assert!(!logs.all().contains("young") && !logs.all().contains("kept"), "{}", logs.all());

    // Told to.
    let ended = example.run(0, &["apply=true", "threshold=0", "image_age=0s", "keep_journal=1 KiB"]);
    assert!(
        ended.stdout.contains("MiB freed (journal ") && ended.stdout.contains("images 2, temporary files 3)"),
        "{}",
        ended.stdout
    );
    assert_eq!(files(), "/srv/old\n/tmp/read\n/tmp/systemd-private-x/old\n/tmp/young\n");
    assert_eq!(images(), "kept\nsample\n", "an image that a stopped container uses");

    // A part that fails keeps no other from its work.
    host.sh("systemctl stop docker.socket docker && touch -d '20 days ago' /tmp/young");
    example.run(1, &["apply=true", "threshold=0"]).says(&["images@machine", "Cannot connect to the Docker daemon"]);
    assert_eq!(files(), "/srv/old\n/tmp/read\n/tmp/systemd-private-x/old\n");
    assert_eq!(example.state("report@machine"), "succeeded");
}
