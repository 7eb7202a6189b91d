//! The engine: the store, the operations in hand, and what can be asked of them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use dsl::value::SecretRef;
use store::{OpenReport, Store};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use uuid::Uuid;

use super::context::{Context, HostPlaces, known_hosts};
use super::executor::{Executor, HostExecutor};
use super::live::Board;
use super::locks::Table;
use super::standing::{Standing, Update};
use super::task::{Begin, Hand, Held, Message};
use crate::error::{Error, Kind};
use crate::host::{Hops, KnownHosts};
use crate::journal::{self, Summary};
use crate::limits::EXECUTORS;
use crate::operation::{Driver, Operation, Verb};
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
    pub hops: Hops,
    hands: Mutex<HashMap<Uuid, InHand>>,
    /// Held from looking whether an operation is in hand until it is: between the two nobody else takes it.
    pub taking: tokio::sync::Mutex<()>,
    /// How many operations are in hand, for those who wait until there is none.
    count: watch::Sender<usize>,
}

/// An operation that this process works on, seen from outside its task.
#[derive(Clone)]
pub(super) struct InHand {
    messages: mpsc::Sender<Box<Message>>,
    pub seen: watch::Receiver<Update>,
    pub board: Board,
}

/// An operation as the store has it.
pub(super) struct Found {
    pub operation: Operation,
    pub vault: Vault,
    /// None where it is being created.
    pub summary: Option<Summary>,
}

/// Answers when the first step of an operation is durable.
pub(super) type Begun = oneshot::Receiver<Result<(), Error>>;

impl Shared {
    /// An operation with its secrets.
    pub fn read(&self, id: Uuid) -> Result<Found, Error> {
        let operation = journal::load(&self.store, &self.plans, id)?;
        let secrets = self.store.sealed().read(&id)?.unwrap_or_default();
        let vault = Vault::new(secrets.into_iter().map(|(name, secret)| (SecretRef(name), secret)).collect());
        Ok(Found { summary: journal::summary(&self.store, id)?, operation, vault })
    }

    /// Refuses what would go on without secrets that it needs: it would find out in the middle of its work.
    pub fn has_its_secrets(&self, found: &Found) -> Result<(), Error> {
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

    pub fn hands(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, InHand>> {
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
            hops: Hops::default(),
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

    pub(super) async fn read(&self, id: Uuid) -> Result<Found, Error> {
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.read(id)).await
    }

    /// Takes an operation in hand, and waits until its first step is durable.
    pub(super) async fn take(&self, found: Found, begin: Begin, verb: Option<Box<Message>>) -> Result<(), Error> {
        answered(self.start(found, begin, verb)?).await
    }

    /// Takes an operation in hand and lets a task work on it, which answers when its first step is durable.
    pub(super) fn start(&self, found: Found, begin: Begin, verb: Option<Box<Message>>) -> Result<Begun, Error> {
        let Found { operation, vault, summary } = found;
        let id = operation.id;
        let shared = &self.shared;
        let context = Context::new(&shared.store, &operation, vault, &shared.known, &shared.hops, &shared.host_places)?;
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

    /// Whether this process works on an operation now.
    pub fn in_hand(&self, id: Uuid) -> bool {
        self.shared.is_in_hand(id)
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

pub(super) async fn answered(answer: Begun) -> Result<(), Error> {
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
