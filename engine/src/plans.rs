//! The plans in use: operations that run the same plan share one.
//!
//! A plan is named by its digest and never changes, so two of one digest are one. Only those that an operation holds are kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use dsl::plan::Plan;

/// Plans by digest, as long as somebody holds them.
#[derive(Debug)]
pub struct Plans<T = Plan>(Mutex<Held<T>>);

#[derive(Debug)]
struct Held<T> {
    plans: HashMap<String, Weak<T>>,
    /// With this many the map is cleared of plans that nobody holds any more.
    clear_at: usize,
}

impl<T> Default for Plans<T> {
    fn default() -> Plans<T> {
        Plans(Mutex::new(Held { plans: HashMap::new(), clear_at: 0 }))
    }
}

impl<T> Plans<T> {
    /// The plan of that digest: one that is in use, or the one that `read` gives.
    pub fn get<E>(&self, digest: &str, read: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let used = self.held().plans.get(digest).and_then(Weak::upgrade);
        if let Some(plan) = used {
            return Ok(plan);
        }
        let plan = Arc::new(read()?); // not under the lock: others may be in use meanwhile
        let mut held = self.held();
        if held.plans.len() >= held.clear_at {
            held.plans.retain(|_, plan| plan.strong_count() > 0);
            held.clear_at = 2 * held.plans.len() + 16;
        }
        held.plans.insert(digest.to_owned(), Arc::downgrade(&plan));
        Ok(plan)
    }

    fn held(&self) -> MutexGuard<'_, Held<T>> {
        // The map is whole after every statement that changes it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_shared_while_it_is_held_and_read_again_afterwards() {
        let plans = Plans::<String>::default();
        let read = || Ok::<String, ()>(String::new());
        let first = plans.get("a", read).unwrap();
        let again = plans.get("a", || Err(())).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        drop((first, again));
        assert!(plans.get("a", || Err(())).is_err());
        for name in 0..1_000 {
            plans.get(&name.to_string(), read).unwrap();
        }
        assert!(plans.held().plans.len() < 100, "plans that nobody holds are forgotten");
    }
}
