//! A preview from beginning to end: hosts in parallel, as many at once as a run has.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dsl::plan::Plan;
use dsl::value::SecretRef;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use store::Secret;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::ask::{Asked, Asking};
use super::course::Course;
use super::report::Report;
use crate::error::{Error, Kind};
use crate::host::{Hops, Host, Reach};
use crate::limits::{HOSTS, NODES, SWEEP_MS};
use crate::operation::ReachRecord;
use crate::redact::Redactor;
use crate::runner::{HostPlaces, HostSpec, THIS_MACHINE, first_generation, known_hosts, public_values, reach};
use crate::vault::Vault;

/// What a preview is made of: what an operation would be created from.
#[derive(Debug)]
pub struct Preview {
    /// The plan.
    pub plan: Plan,
    /// The bytes of its scripts and files.
    pub assets: BTreeMap<String, Vec<u8>>,
    /// The hosts that fill its roles' slots.
    pub hosts: BTreeMap<String, HostSpec>,
    /// The secrets that the plan and the hosts name.
    pub secrets: BTreeMap<SecretRef, Secret>,
    /// The data folder: host keys that were accepted are known from there, and nothing else of it is read.
    pub data_dir: PathBuf,
    /// The user's home, whose `.ssh/known_hosts` counts too.
    pub home: Option<PathBuf>,
}

impl Preview {
    /// Asks the hosts and tells what a run would do; nothing where it was stopped before all of them had answered.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<Option<Report>, Error> {
        let bug = |why: String| Error::new(Kind::Internal, format!("the course of a run cannot be told: {why}"));
        let id = Uuid::now_v7();
        let (mut course, asking) = self.begin(id)?;
        let asking = &asking;
        let mut asked = FuturesUnordered::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            for question in course.next().map_err(bug)? {
                asked.push(async move { (asking.ask(&question).await, question.node) });
            }
            let answered = tokio::select! {
                answered = asked.next() => answered,
                () = &mut stop => {
                    asking.end();
                    let all = async { while asked.next().await.is_some() {} };
                    if tokio::time::timeout(Duration::from_millis(SWEEP_MS), all).await.is_err() {
                        tracing::warn!("no answer from some hosts; a probe may still be at work there");
                    }
                    return Ok(None);
                }
            };
            if answered.is_none() {
                break;
            }
            // All that have answered by now: what follows is looked for once.
            let mut next = answered;
            while let Some((learnt, node)) = next {
                course.learn(&node, learnt).map_err(bug)?;
                next = asked.next().now_or_never().flatten();
            }
        }
        futures::future::join_all(asking.hosts.values().map(|asked| asked.host.close())).await;
        course.report().map(Some).map_err(bug)
    }

    fn begin(self, id: Uuid) -> Result<(Course, Asking), Error> {
        let invalid = |why: String| Error::new(Kind::Invalid, why);
        if self.hosts.len() > HOSTS {
            return Err(invalid(format!("{} hosts; the limit is {HOSTS}", self.hosts.len())));
        }
        self.plan.validate().map_err(|error| invalid(format!("the plan cannot be run: {error}")))?;
        let plan = Arc::new(self.plan);
        let vault = Vault::new(self.secrets);
        let known = Arc::new(known_hosts(&self.data_dir, self.home.as_deref()));
        let (hops, machines) = (Hops::default(), HostPlaces::default());
        let records = first_generation(self.hosts);
        let mut hosts = HashMap::new();
        for (slot, record) in &records {
            let reach = reach(&record.reach, &vault)?;
            let host = Host::new(slot, record.generation, reach, Arc::clone(&known)).through(&hops);
            let places = machines.at(&record.reach);
            hosts.insert(slot.clone(), Asked { host, reached: OnceCell::new(), places });
        }
        let here = Host::new(THIS_MACHINE, 1, Reach::Local, Arc::clone(&known));
        let places = machines.at(&ReachRecord::Local);
        hosts.insert(THIS_MACHINE.to_owned(), Asked { host: here, reached: OnceCell::new(), places });
        let redactor = Redactor::new(&vault, &public_values(&plan));
        let course = Course::new(plan, self.assets, records, vault, redactor.clone(), id)
            .map_err(|why| invalid(format!("the plan cannot be run: {why}")))?;
        let nodes = course.operation().nodes.len();
        if nodes > NODES {
            return Err(invalid(format!("the plan has {nodes} nodes; the limit is {NODES}"))
                .hint("look at fewer hosts at a time"));
        }
        Ok((course, Asking::new(hosts, redactor)))
    }
}
