//! Writes each operation of a data folder as a golden journal and its plan, named after its workflow.
//!
//! `cargo run -p engine --example golden -- DATA_FOLDER OUT_FOLDER`; the data folder may be brought to this build's store format by
//! it, so give it a copy. Entries and plans stand there as they lie in the store.

use std::io::Write;
use std::path::Path;

use engine::journal::{all_entries, summaries};
use engine::operation::Event;
use store::{Digest, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [data, out] = args.as_slice() else { return Err("give a data folder and a folder to write to".into()) };
    let store = Store::open(Path::new(data))?.store;
    for summary in summaries(&store)? {
        let name = Path::new(out).join(&summary.workflow).display().to_string();
        let mut file = std::fs::File::create_new(format!("{name}.journal.json"))?;
        for found in store.walk(&[b"j/".as_slice(), summary.id.as_bytes()].concat()) {
            let (_, row) = found?;
            if row.value.first() == Some(&b'{') {
                file.write_all(&row.value)?; // format 1: an entry is a row
                writeln!(file)?;
            } else {
                let entries: Vec<engine::operation::Entry> = serde_json::from_slice(&row.value)?;
                for entry in entries {
                    writeln!(file, "{}", serde_json::to_string(&entry)?)?;
                }
            }
        }
        let first = all_entries(&store, summary.id)?.swap_remove(0);
        let Event::Created { plan, .. } = first.event else {
            return Err("a journal does not begin with `created`".into());
        };
        let plan = store.blobs().get(&plan.parse::<Digest>()?)?;
        std::fs::File::create_new(format!("{name}.plan.json"))?.write_all(&plan)?;
    }
    store.close_blocking()?;
    Ok(())
}
