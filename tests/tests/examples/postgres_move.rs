//! `postgres-move`: every row arrives, and what the target had is never lost.

use anneal_tests::testbed::{Flavour, Host};

use crate::fixture::Example;

const SERVER: &str = "apt-get update -qq && apt-get install -y -qq postgresql >/dev/null 2>&1 && pg_ctlcluster 15 main start || pg_lsclusters | grep -q online";

const SHOP: &str = "create table customers (id int primary key, name text not null);
    create table \"Odd name\" (x bytea);
    create schema audit; create table audit.log (id bigserial primary key, customer int references customers, at timestamptz default now());
    insert into customers select n, 'customer ' || n from generate_series(1, 5000) n;
    insert into audit.log (customer) select 1 + n % 5000 from generate_series(1, 20000) n;";

/// What a query says, without frills.
fn sql(host: &Host, database: &str, query: &str) -> String {
    host.exec(&[
        "runuser",
        "-u",
        "postgres",
        "--",
        "psql",
        "-XAtq",
        "-v",
        "ON_ERROR_STOP=1",
        "-d",
        database,
        "-c",
        query,
    ])
}

fn databases(host: &Host) -> String {
    sql(host, "postgres", "select string_agg(datname, ' ' order by datname) from pg_database where not datistemplate")
}

fn dumps(host: &Host) -> String {
    host.sh("find /var/lib/postgresql /tmp -name '*.dump*'")
}

#[test]
fn a_database_arrives_whole_and_overwrites_nothing_unasked() {
    let (source, target) = (Host::up("source", Flavour::Bare), Host::up("target", Flavour::Bare));
    std::thread::scope(|scope| {
        for host in [&source, &target] {
            scope.spawn(|| host.sh(SERVER));
        }
    });
    sql(&source, "postgres", "create database shop");
    sql(&source, "shop", SHOP);
    let example = Example::new("postgres-move", &[("source", &[&source]), ("target", &[&target])]);

    assert_eq!(example.run(0, &["database=shop"]).stdout, "rows = 25000\ntables = 3\n");
    let sum = "select md5(string_agg(c::text || l::text, '' order by l.id)) from customers c join audit.log l on l.customer = c.id";
    assert_eq!(sql(&source, "shop", sum), sql(&target, "shop", sum), "the rows are other ones");
    assert_eq!(databases(&target), "postgres shop\n");
    assert_eq!(dumps(&source) + &dumps(&target), "", "dumps are left");

    // The target has it now: nothing is even dumped.
    sql(&target, "shop", "insert into customers values (0, 'of the target alone')");
    sql(&source, "shop", "delete from audit.log where id > 100");
    example.run(1, &["database=shop"]).says(&["free@target", "nothing is touched without overwrite=true"]);
    assert_eq!(example.state("dump@source"), "not_reached");
    let of_the_target = "select count(*) from customers where id = 0";
    assert_eq!(sql(&target, "shop", of_the_target), "1\n");
    example.give_up();

    // Told to, it takes the name, and what was there is kept; a rollback would give it back.
    assert_eq!(example.run(0, &["database=shop", "overwrite=true"]).stdout, "rows = 5100\ntables = 3\n");
    assert_eq!(databases(&target), "postgres shop shop_before\n");
    assert_eq!(sql(&target, "shop", of_the_target) + &sql(&target, "shop_before", of_the_target), "0\n1\n");
    example.run(1, &["database=shop", "overwrite=true"]).says(&["shop_before is kept from an earlier time"]);
    example.give_up();

    // A dump that cannot be read to its end is noticed before the target is touched.
    sql(&target, "postgres", "drop database shop_before");
    source.install(
        "/usr/local/bin/pg_dump",
        "#!/bin/sh\n/usr/bin/pg_dump \"$@\" && for last; do :; done && truncate -s -2000 \"${last#--file=}\"\n",
    );
    example.run(1, &["database=shop", "overwrite=true"]).says(&["readable@source"]);
    assert_eq!(databases(&target), "postgres shop\n");
}
