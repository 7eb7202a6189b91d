//! A process that is killed while it commits: what it was told is durable is there.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use store::{Batch, Store};

use crate::common::{folder, open};

const CHILD: &str = "ANNEAL_STORE_TEST_KILL";

/// Four threads that commit two keys at once, and say so when each is done. Perhaps a fifth that compacts all the time.
fn work(dir: &Path, compacts: bool) {
    let store = Store::open(dir).unwrap().store;
    std::thread::scope(|scope| {
        if compacts {
            scope.spawn(|| {
                while let Ok(done) = store.compact_blocking() {
                    writeln!(std::io::stdout().lock(), "compacted to {}", done.after_bytes).unwrap();
                }
            });
        }
        for writer in 0..4 {
            let store = &store;
            scope.spawn(move || {
                let begin = store.keys(format!("a/{writer}/").as_bytes(), None, 4096).unwrap().len();
                for n in begin.. {
                    let value = format!("{writer} {n} ").repeat(1 + n % 60);
                    let batch = Batch::new(None)
                        .put(format!("a/{writer}/{n:06}"), &value)
                        .put(format!("b/{writer}/{n:06}"), &value)
                        .expect_absent(format!("a/{writer}/{n:06}"));
                    store.commit_blocking(batch).unwrap();
                    writeln!(std::io::stdout().lock(), "done {writer} {n}").unwrap();
                }
            });
        }
    });
}

#[test]
fn a_killed_process_loses_nothing_that_it_was_told_is_durable() {
    kill_it("kill::a_killed_process_loses_nothing_that_it_was_told_is_durable", false);
}

#[test]
fn a_process_killed_while_it_compacts_loses_nothing_either() {
    kill_it("kill::a_process_killed_while_it_compacts_loses_nothing_either", true);
}

fn kill_it(test: &str, compacts: bool) {
    if let Ok(dir) = std::env::var(CHILD) {
        return work(Path::new(&dir), compacts);
    }
    let dir = folder();
    let (mut compactions, mut interrupted) = (0, 0);
    let mut random = fastrand::Rng::with_seed(15);
    let mut done = [0_usize; 4];
    for round in 0..15 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut left = random.usize(1..200);
        let mut hear = |line: String| {
            compactions += usize::from(line.contains("compacted to"));
            if let Some((writer, n)) = line.split_once("done ").and_then(|(_, rest)| rest.split_once(' ')) {
                done[writer.parse::<usize>().unwrap()] = n.parse::<usize>().unwrap() + 1;
                return true;
            }
            false
        };
        while left > 0 {
            left -= usize::from(hear(lines.next().unwrap().unwrap()));
        }
        child.kill().unwrap();
        for line in lines.map_while(Result::ok) {
            hear(line);
        }
        child.wait().unwrap();

        let opened = open(dir.path());
        assert!(opened.report.damaged.is_empty(), "round {round}: {:?}", opened.report);
        interrupted += usize::from(opened.report.stale_generations > 0);
        assert_eq!(std::fs::read_dir(dir.path().join("log")).unwrap().count(), 1);
        for (writer, done) in done.iter_mut().enumerate() {
            let read = |half: &str| -> Vec<_> {
                opened.store.walk(format!("{half}/{writer}/").as_bytes()).map(Result::unwrap).collect()
            };
            let (a, b) = (read("a"), read("b"));
            // At most the one commit that was on its way was kept without an answer.
            assert!(a.len() == *done || a.len() == *done + 1, "round {round}: {} of {done}", a.len());
            // The next process counts it too, and may be killed before it answers anything.
            *done = a.len();
            assert_eq!(a.len(), b.len());
            for (n, ((_, a), (_, b))) in a.iter().zip(&b).enumerate() {
                assert_eq!(a, b);
                assert_eq!(a.value, format!("{writer} {n} ").repeat(1 + n % 60).as_bytes());
            }
        }
    }
    assert!(done.iter().sum::<usize>() > 500, "{done:?}");
    if compacts {
        assert!(compactions > 5 && interrupted > 3, "{compactions} compactions, {interrupted} interrupted");
    }
}
