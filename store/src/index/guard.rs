//! Calling sled: it may fail, and over a damaged file it may panic. Both become a text.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs a call of sled. A panic is an error like any other, and does not reach the terminal.
pub(crate) fn run<T>(act: impl FnOnce() -> sled::Result<T>) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            // While a thread ends, its flag may be gone; then it is no call of ours.
            if !QUIET.try_with(Cell::get).unwrap_or(false) {
                usual(panic);
            }
        }));
    });
    let before = QUIET.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(act));
    QUIET.set(before);
    match done {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(format!("sled says: {error}")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
            Err(format!("sled panicked: {text}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_text() {
        assert_eq!(run::<()>(|| panic!("at {}", 7)), Err("sled panicked: at 7".to_owned()));
        assert_eq!(run(|| Ok(1)), Ok(1));
    }
}
