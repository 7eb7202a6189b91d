//! The engine: the store, the operations in hand, and what can be asked of them.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use dsl::plan::Plan;
use dsl::value::SecretRef;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use store::{OpenReport, Secret, Store};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use uuid::Uuid;

use super::clock::now_ms;
use super::context::{Context, HostPlaces, known_hosts};
use super::executor::{Executor, HostExecutor};
use super::hosts::{HostSpec, first_generation};
use super::inputs::InputScope;
use super::live::{Board, LiveAt, Tail};
use super::locks::Table;
use super::task::{Begin, Hand, Held, Message, Standing, Update, Waits};
use crate::error::{Error, Kind};
use crate::host::KnownHosts;
use crate::journal::{self, Summary};
use crate::limits::{EXECUTORS, HOSTS, LOCK_BYTES, NODES, RECOVERED_AT_ONCE};
use crate::operation::{Driver, Entry, Event, JOURNAL_FORMAT, Operation, OutputRef, Verb};
use crate::plans::Plans;
use crate::vault::Vault;

/// How often a verb is tried on an operation whose task ends under it.
const VERB_TRIES: usize = 3;

/// How an engine is opened.
#[derive(Clone)]
pub struct Options {
    /// Where its store lies.
    pub data_dir: PathBuf,
    /// The user's home, for `~/.ssh/known_hosts`.
    pub home: Option<PathBuf>,
    /// What carries out effects.
    pub executor: Arc<dyn Executor>,
}

impl Options {
    /// The usual: effects are carried out on hosts.
    pub fn new(data_dir: impl Into<PathBuf>) -> Options {
        Options {
            data_dir: data_dir.into(),
            home: std::env::var_os("HOME").map(PathBuf::from),
            executor: Arc::new(HostExecutor),
        }
    }
}

/// What an operation is created from.
#[derive(Debug)]
pub struct Create {
    /// The operation's id, a new UUID of version 7.
    pub id: Uuid,
    /// The plan.
    pub plan: Plan,
    /// The bytes of its scripts and files.
    pub assets: BTreeMap<String, Vec<u8>>,
    /// The hosts that fill its roles' slots.
    pub hosts: BTreeMap<String, HostSpec>,
    /// The secrets that the plan and the hosts name.
    pub secrets: BTreeMap<SecretRef, Secret>,
    /// Who asks.
    pub by: String,
    /// What to do where another operation holds one of its locks.
    pub if_locked: IfLocked,
}

/// What to do where another operation holds a lock that a new one needs (D8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IfLocked {
    /// It is not created.
    #[default]
    Refuse,
    /// It is created, and begins when all its locks are free.
    Queue,
}

/// The engine; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub store: Store,
    pub executor: Arc<dyn Executor>,
    pub permits: Semaphore,
    /// Changes whenever locks were given back.
    pub freed: watch::Sender<u64>,
    locks: Mutex<Table>,
    pub host_places: HostPlaces,
    pub plans: Plans,
    pub known: Arc<KnownHosts>,
    hands: Mutex<HashMap<Uuid, InHand>>,
    /// Held from looking whether an operation is in hand until it is: between the two nobody else takes it.
    pub taking: tokio::sync::Mutex<()>,
    /// How many operations are in hand, for those who wait until there is none.
    count: watch::Sender<usize>,
}

/// An operation that this process works on, seen from outside its task.
#[derive(Clone)]
struct InHand {
    messages: mpsc::Sender<Box<Message>>,
    seen: watch::Receiver<Update>,
    board: Board,
}

/// An operation as the store has it.
pub(super) struct Found {
    pub operation: Operation,
    pub vault: Vault,
    /// None where it is being created.
    summary: Option<Summary>,
}

/// Answers when the first step of an operation is durable.
type Begun = oneshot::Receiver<Result<(), Error>>;

impl Shared {
    /// An operation with its secrets.
    pub fn read(&self, id: Uuid) -> Result<Found, Error> {
        let operation = journal::load(&self.store, &self.plans, id)?;
        let secrets = self.store.sealed().read(&id)?.unwrap_or_default();
        let vault = Vault::new(secrets.into_iter().map(|(name, secret)| (SecretRef(name), secret)).collect());
        Ok(Found { summary: journal::summary(&self.store, id)?, operation, vault })
    }

    /// Refuses what would go on without secrets that it needs: it would find out in the middle of its work.
    fn has_its_secrets(&self, found: &Found) -> Result<(), Error> {
        let missing = found.vault.missing(&found.operation);
        let [first, ..] = missing.as_slice() else { return Ok(()) };
        let file = self.store.sealed().operation_path(&found.operation.id);
        let lost = if file.exists() { "does not hold" } else { "is missing, which holds" };
        let message = format!("{} {lost} the secret `{first}` of the operation", file.display());
        Err(Error::new(Kind::Refused, message)
            .hint("restore it from a backup; nothing was started (`anneal kill` gives the operation up)"))
    }

    pub fn forget(&self, id: Uuid) {
        self.locks().waits_no_more(id);
        let mut hands = self.hands();
        hands.remove(&id);
        self.count.send_replace(hands.len());
    }

    /// Waits until an operation is not in hand.
    async fn out_of_hand(&self, id: Uuid) {
        let mut count = self.count.subscribe();
        // The sender lives as long as we do.
        while self.hands().contains_key(&id) && count.changed().await.is_ok() {}
    }

    /// Who holds which lock.
    pub fn locks(&self) -> std::sync::MutexGuard<'_, Table> {
        // The table is whole after every call.
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_in_hand(&self, id: Uuid) -> bool {
        self.hands().contains_key(&id)
    }

    fn hands(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, InHand>> {
        // The map is whole after every statement that changes it.
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Opens the store; no operation goes on by that alone.
    pub fn open(options: Options) -> Result<(Engine, OpenReport), Error> {
        let opened = Store::open(&options.data_dir)?;
        forget_secrets(&opened.store)?;
        let known = Arc::new(known_hosts(&options.data_dir, options.home.as_deref()));
        let locks = Mutex::new(Table::read(&opened.store)?);
        let shared = Shared {
            locks,
            freed: watch::Sender::new(0),
            host_places: HostPlaces::default(),
            store: opened.store,
            executor: options.executor,
            permits: Semaphore::new(EXECUTORS),
            plans: Plans::default(),
            known,
            hands: Mutex::default(),
            taking: tokio::sync::Mutex::default(),
            count: watch::Sender::new(0),
        };
        Ok((Engine { shared: Arc::new(shared) }, opened.report))
    }

    /// The store, for whoever reads beside us.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Creates an operation and begins it. What it needs is durable before it exists (D3, D9).
    ///
    /// Whoever creates it chooses its id, so that asking again, when the answer was lost, creates nothing twice.
    pub async fn create(&self, create: Create) -> Result<Uuid, Error> {
        self.released()?;
        let id = create.id;
        if self.shared.store.get(&journal::summary_key(id))?.is_some() {
            return Ok(id);
        }
        let locks = declared_locks(&create.plan)?;
        let digest = self.keep(id, &create).await?;
        let plan = self.shared.plans.get(&digest, || Ok::<Plan, Error>(create.plan))?;
        let entry = Entry {
            seq: 1,
            at_ms: now_ms(),
            event: Event::Created {
                format: JOURNAL_FORMAT,
                operation: id,
                plan: digest,
                workflow: plan.workflow.clone(),
                by: create.by,
                hosts: first_generation(create.hosts),
                locks: locks.clone(),
            },
        };
        let operation = Operation::create(plan, &entry)
            .map_err(|illegal| Error::new(Kind::Invalid, format!("the plan cannot be run: {}", illegal.why)))?;
        if operation.nodes.len() > NODES {
            let message = format!("the plan has {} nodes; the limit is {NODES}", operation.nodes.len());
            return Err(Error::new(Kind::Invalid, message).hint("run it on fewer hosts at a time"));
        }
        let taken = self.shared.locks().take(id, &locks);
        let locked = match (taken, create.if_locked) {
            (Ok(()), _) => !locks.is_empty(),
            (Err(_), IfLocked::Queue) => false,
            (Err(held), IfLocked::Refuse) => {
                let message = format!("operation {} holds {}", held.operation, lock_words(&held.lock));
                return Err(Error::new(Kind::Refused, message).hint(format!(
                    "wait for its end, or queue behind it (`--queue`); `anneal show {}` shows it",
                    held.operation
                )));
            }
        };
        let begin = Begin { before: vec![entry], locked, found: Vec::new() };
        let begun = self.take(Found { operation, vault: Vault::new(create.secrets), summary: None }, begin, None).await;
        if begun.is_err() {
            self.shared.locks().give_back(id);
        }
        begun.map(|()| id)
    }

    /// Makes durable what an operation needs: plan, scripts, secrets. Gives the plan's digest.
    async fn keep(&self, id: Uuid, create: &Create) -> Result<String, Error> {
        if create.hosts.len() > HOSTS {
            return Err(Error::new(Kind::Invalid, format!("{} hosts; the limit is {HOSTS}", create.hosts.len())));
        }
        create
            .plan
            .validate()
            .map_err(|error| Error::new(Kind::Invalid, format!("the plan cannot be run: {error}")))?;
        let plan = create
            .plan
            .to_json()
            .map_err(|error| Error::new(Kind::Internal, "the plan cannot be written").source(error))?;
        for (path, asset) in &create.plan.assets {
            let Some(bytes) = create.assets.get(path) else {
                return Err(Error::new(
                    Kind::Invalid,
                    format!("the file `{path}` of the workflow did not come with it"),
                ));
            };
            if store::Digest::of(bytes).hex() != asset.sha256 {
                return Err(Error::new(Kind::Invalid, format!("the file `{path}` is not the one that the plan names")));
            }
        }
        let assets: Vec<Vec<u8>> = create.assets.values().cloned().collect();
        let secrets: store::Secrets =
            create.secrets.iter().map(|(name, secret)| (name.0.clone(), secret.clone())).collect();
        let store = self.shared.store.clone();
        blocking(move || {
            let digest = store.blobs().put(&plan)?;
            for asset in &assets {
                store.blobs().put(asset)?;
            }
            if !secrets.is_empty() {
                store.sealed().write(&id, &secrets)?;
            }
            Ok(digest.to_string())
        })
        .await
    }

    /// Goes on with an operation: one that a killed engine left, one that failed, one that waits (see [`Verb::Resume`]).
    pub async fn verb(&self, id: Uuid, verb: Verb, by: &str, why: &str) -> Result<(), Error> {
        self.released()?;
        // A task that ends in the same moment takes the message with it; then the operation is taken in hand anew.
        for _ in 0..VERB_TRIES {
            let (reply, answer) = oneshot::channel();
            let message = Message::Verb { verb: verb.clone(), by: by.to_owned(), why: why.to_owned(), reply };
            let message = Box::new(message);
            let taking = self.shared.taking.lock().await;
            let in_hand = self.shared.hands().get(&id).cloned();
            match in_hand {
                Some(hand) => {
                    drop(taking);
                    if hand.messages.send(message).await.is_err() {
                        self.shared.out_of_hand(id).await;
                        continue;
                    }
                }
                None => {
                    let found = self.read(id).await?;
                    // What is refused sets nothing going.
                    found
                        .operation
                        .verb(&verb, by, why)
                        .map_err(|refused| Error::new(Kind::Refused, refused.why).hint(refused.hint))?;
                    // These two start nothing.
                    if !matches!(verb, Verb::Fail | Verb::Kill) {
                        self.shared.has_its_secrets(&found)?;
                    }
                    self.take(found, Begin::default(), Some(message)).await?;
                    drop(taking);
                }
            }
            if let Ok(answer) = answer.await {
                return answer;
            }
        }
        Err(Error::new(Kind::Refused, "the operation ended this moment")
            .hint("look with `anneal show`, then try again"))
    }

    /// Every unfinished operation goes on by itself. Gives those that could not be taken in hand, with the reason: they do not
    /// keep the others from it (I11).
    pub async fn recover(&self) -> Result<Recovered, Error> {
        self.released()?;
        let (mut recovered, mut unfinished) = (Recovered::default(), Vec::new());
        for summary in self.list().await? {
            if summary.goes_on_by_itself() {
                unfinished.push(summary.id);
            } else if summary.is_quarantined() {
                let why = Error::new(Kind::Quarantined, summary.waits_for.unwrap_or_default());
                recovered.leave(summary.id, why);
            }
        }
        // Most of the work is reading, which every processor can do a share of.
        let readers = std::thread::available_parallelism().map_or(1, usize::from);
        let shares: Vec<Vec<Uuid>> = unfinished.chunks(RECOVERED_AT_ONCE).map(<[Uuid]>::to_vec).collect();
        let mut shares = futures::stream::iter(shares).map(|share| self.go_on_all(share)).buffered(readers);
        while let Some(share) = shares.next().await {
            for (id, taken) in share {
                match taken {
                    Ok(()) => recovered.taken.push(id),
                    Err(error) => recovered.leave(id, error),
                }
            }
        }
        Ok(recovered)
    }

    /// Takes an unfinished operation in hand, unless it is: it goes on with whatever it is about.
    pub async fn go_on(&self, id: Uuid) -> Result<(), Error> {
        self.released()?;
        let mut taken = self.go_on_all(vec![id]).await;
        taken.pop().map_or(Ok(()), |(_, taken)| taken)
    }

    /// Takes unfinished operations in hand, unless they are.
    async fn go_on_all(&self, ids: Vec<Uuid>) -> Vec<(Uuid, Result<(), Error>)> {
        let (shared, share) = (Arc::clone(&self.shared), ids.clone());
        let read = match blocking(move || Ok(share.iter().map(|&id| shared.read(id)).collect::<Vec<_>>())).await {
            Ok(read) => read,
            Err(error) => ids.iter().map(|_| Err(error.again())).collect(),
        };
        let mut begun = Vec::with_capacity(read.len());
        {
            let _taking = self.shared.taking.lock().await;
            for (id, found) in ids.into_iter().zip(read) {
                let answer = match found {
                    Ok(found) => self.begin_again(found).await,
                    Err(error) => Err(error),
                };
                begun.push((id, answer));
            }
        }
        let mut taken = Vec::with_capacity(begun.len());
        for (id, answer) in begun {
            let answer = match answer {
                Ok(Some(answer)) => answered(answer).await,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            taken.push((id, answer));
        }
        taken
    }

    /// Takes an operation in hand that was read a moment ago; nothing where it is in hand. Nobody else may be taking one.
    async fn begin_again(&self, found: Found) -> Result<Option<Begun>, Error> {
        let (id, seq) = (found.operation.id, found.operation.seq);
        if self.in_hand(id) {
            return Ok(None);
        }
        // Somebody may have had it in hand since it was read.
        let found = if journal::has(&self.shared.store, id, seq + 1)? { self.read(id).await? } else { found };
        if !found.operation.life.is_final() {
            self.shared.has_its_secrets(&found)?;
        }
        self.start(found, Begin::default(), None).map(Some)
    }

    /// What an operation waits for of others, as the process that works on it sees it.
    pub fn waits(&self, id: Uuid) -> Vec<Waits> {
        self.shared.hands().get(&id).map(|hand| hand.seen.borrow().waits.clone()).unwrap_or_default()
    }

    pub(super) async fn read(&self, id: Uuid) -> Result<Found, Error> {
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.read(id)).await
    }

    /// Takes an operation in hand, and waits until its first step is durable.
    async fn take(&self, found: Found, begin: Begin, verb: Option<Box<Message>>) -> Result<(), Error> {
        answered(self.start(found, begin, verb)?).await
    }

    /// Takes an operation in hand and lets a task work on it, which answers when its first step is durable.
    fn start(&self, found: Found, begin: Begin, verb: Option<Box<Message>>) -> Result<Begun, Error> {
        let Found { operation, vault, summary } = found;
        let id = operation.id;
        let shared = &self.shared;
        let context = Context::new(&shared.store, &operation, vault, &shared.known, &shared.host_places)?;
        let context = Arc::new(context);
        let (messages, inbox) = mpsc::channel(16);
        let (tell, seen) = watch::channel(Update { seq: operation.seq, rest: Standing::Busy, waits: Vec::new() });
        {
            let mut hands = self.shared.hands();
            if hands.contains_key(&id) {
                return Err(Error::new(Kind::Refused, "the operation was taken in hand this moment").hint("try again"));
            }
            hands.insert(id, InHand { messages, seen, board: context.board.clone() });
            self.shared.count.send_replace(hands.len());
        }
        let held = Held { shared: Arc::clone(&self.shared), id };
        let driver = Driver::new(operation, shared.store.incarnation());
        let hand = Hand::new(Arc::clone(&self.shared), driver, context, inbox, tell, summary);
        // In a box, and its beginning too: a task has room for all that it ever holds, moved to and fro.
        let mut hand = Box::new(hand);
        let (begun, answer) = oneshot::channel();
        // All in one task of its own: whoever asked may go at any time, and the operation goes on.
        tokio::spawn(async move {
            match Box::pin(hand.begin(begin, verb)).await {
                Ok(rest) => {
                    let _ = begun.send(Ok(()));
                    hand.work(rest, held).await;
                }
                Err(error) => {
                    drop(held);
                    let _ = begun.send(Err(error));
                }
            }
        });
        Ok(answer)
    }

    /// The operations, oldest first.
    pub async fn list(&self) -> Result<Vec<Summary>, Error> {
        let store = self.shared.store.clone();
        blocking(move || journal::summaries(&store)).await
    }

    /// Whether this process works on an operation now.
    pub fn in_hand(&self, id: Uuid) -> bool {
        self.shared.is_in_hand(id)
    }

    /// The operation whose id begins or ends with `part`; ids of one morning begin alike, so ends are what lists show.
    pub async fn find(&self, part: &str) -> Result<Uuid, Error> {
        let part = part.to_ascii_lowercase();
        if let Ok(id) = part.parse::<Uuid>() {
            return Ok(id);
        }
        let ids: Vec<Uuid> = self.list().await?.into_iter().map(|summary| summary.id).collect();
        let fits = |id: &&Uuid| id.to_string().starts_with(&part) || id.to_string().ends_with(&part);
        let found: Vec<&Uuid> = ids.iter().filter(fits).collect();
        match (found.as_slice(), part.is_empty()) {
            (_, true) | ([], _) => {
                Err(Error::new(Kind::NotFound, format!("there is no operation `{part}`"))
                    .hint("`anneal ops` lists them"))
            }
            ([id], false) => Ok(**id),
            (several, false) => {
                let ids: Vec<String> = several.iter().take(5).map(ToString::to_string).collect();
                Err(Error::new(
                    Kind::Ambiguous,
                    format!("`{part}` fits {} operations: {}", several.len(), ids.join(", ")),
                )
                .hint("give more of the id"))
            }
        }
    }

    /// An operation as its journal tells of it.
    pub async fn load(&self, id: Uuid) -> Result<Operation, Error> {
        let shared = Arc::clone(&self.shared);
        blocking(move || journal::load(&shared.store, &shared.plans, id)).await
    }

    /// Entries of its journal after `seq`.
    pub async fn entries(&self, id: Uuid, after: u64, limit: usize) -> Result<Vec<Entry>, Error> {
        let store = self.shared.store.clone();
        blocking(move || journal::entries(&store, id, after, limit)).await
    }

    /// What a program wrote.
    pub async fn output(&self, output: &OutputRef) -> Result<(String, String), Error> {
        match output {
            OutputRef::Inline { stdout, stderr } => Ok((stdout.clone(), stderr.clone())),
            OutputRef::Blob { digest } => {
                let bad = || Error::new(Kind::Quarantined, format!("the output `{digest}` cannot be read"));
                let parsed: store::Digest = digest.parse().map_err(|_| bad())?;
                let store = self.shared.store.clone();
                let bytes = blocking(move || Ok(store.blobs().get(&parsed)?)).await?;
                match serde_json::from_slice(&bytes) {
                    Ok(OutputRef::Inline { stdout, stderr }) => Ok((stdout, stderr)),
                    Ok(OutputRef::Blob { .. }) | Err(_) => Err(bad()),
                }
            }
        }
    }

    /// Tells when an operation has changed; nothing where this process does not work on it.
    pub fn watch(&self, id: Uuid) -> Option<watch::Receiver<Update>> {
        self.shared.hands().get(&id).map(|hand| hand.seen.clone())
    }

    /// Live output after `offset` bytes of it.
    pub fn tail(&self, id: Uuid, at: &LiveAt, offset: u64) -> Option<Tail> {
        let board = self.shared.hands().get(&id).map(|hand| hand.board.clone())?;
        board.tail(at, offset)
    }

    /// All live outputs of an operation, and how far they have come.
    pub fn live(&self, id: Uuid) -> Vec<LiveAt> {
        let board = self.shared.hands().get(&id).map(|hand| hand.board.clone());
        board.map(|board| board.all()).unwrap_or_default()
    }

    /// Waits until this process works on no operation.
    pub async fn idle(&self) {
        let mut count = self.shared.count.subscribe();
        // The sender lives as long as we do.
        let _ = count.wait_for(|count| *count == 0).await;
    }

    /// How many operations this process works on.
    pub fn busy(&self) -> usize {
        self.shared.hands().len()
    }

    /// Lets go of one operation: its jobs go on on their hosts, and it goes on when it is resumed.
    pub async fn let_go(&self, id: Uuid) {
        let hand = self.shared.hands().get(&id).cloned();
        if let Some(hand) = hand {
            // Where it is not heard, it has ended by itself.
            let _ = hand.messages.send(Box::new(Message::LetGo)).await;
            self.shared.out_of_hand(id).await;
        }
    }

    /// Lets go of all operations.
    pub async fn let_go_of_all(&self) {
        let ids: Vec<Uuid> = self.shared.hands().keys().copied().collect();
        for id in ids {
            self.let_go(id).await;
        }
    }

    /// Closes the store, with a clean end; nothing may be in hand.
    pub async fn close(self) -> Result<(), Error> {
        let store = self.shared.store.clone();
        drop(self);
        Ok(store.close().await?)
    }
}

/// What a recovery came to.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Operations that go on.
    pub taken: Vec<Uuid>,
    /// Operations that cannot, and why.
    pub left: Vec<(Uuid, Error)>,
}

impl Recovered {
    fn leave(&mut self, id: Uuid, why: Error) {
        tracing::error!(operation = %id, error = %why, "an unfinished operation cannot go on");
        self.left.push((id, why));
    }
}

/// The locks that a plan declares, sorted (D8).
fn declared_locks(plan: &Plan) -> Result<Vec<String>, Error> {
    let scope = InputScope(plan);
    let mut locks = std::collections::BTreeSet::new();
    for (kind, templates) in [("instance", &plan.instances), ("lock", &plan.locks)] {
        for template in templates {
            let name = dsl::eval::render(template, &scope).map_err(|error| {
                Error::new(Kind::Invalid, format!("a name of `{kind}` cannot be evaluated: {error}"))
            })?;
            if name.text.is_empty() || name.text.len() > LOCK_BYTES {
                let message = format!("a name of `{kind}` is empty or longer than {LOCK_BYTES} bytes");
                return Err(Error::new(Kind::Invalid, message));
            }
            locks.insert(format!("{kind}/{}", name.text));
        }
    }
    Ok(locks.into_iter().collect())
}

/// A lock in words.
pub fn lock_words(lock: &str) -> String {
    match lock.split_once('/') {
        Some(("instance", name)) => format!("the instance `{name}`"),
        Some((_, name)) => format!("the lock `{name}`"),
        None => format!("the lock `{lock}`"),
    }
}

/// Deletes sealed secrets that no operation needs any more: it ended, or never came to be, when an engine was killed (D9).
fn forget_secrets(store: &Store) -> Result<(), Error> {
    for id in store.sealed().operations()? {
        // I11: what cannot be told is left as it is, and told when somebody asks for that operation.
        if journal::is_open(store, id).is_ok_and(|open| !open) {
            store.sealed().delete(&id)?;
        }
    }
    Ok(())
}

async fn answered(answer: Begun) -> Result<(), Error> {
    answer.await.map_err(|_| Error::new(Kind::Internal, "the operation's task ended at once; a bug in Anneal"))?
}

/// Does what waits for the disk where waiting harms nobody.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::new(Kind::Internal, "a reader of the store ended").source(error))?
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("busy", &self.busy()).finish_non_exhaustive()
    }
}
