//! A job's output once it has ended: what came with the end, and what has to be asked for.

use super::begin::Input;
use super::error::ErrorKind;
use super::job_script::{self, Script};
use super::job_wire::End;
use super::ssh_connection::Want;
use super::{Host, JobId, Output, Stream, limits};

impl Host {
    /// A stream's output: what came with the end where that is all, else both ends of what lies on the host.
    pub(super) async fn whole(
        &self,
        id: &JobId,
        as_user: Option<&str>,
        stream: Stream,
        came: Vec<u8>,
        cut: bool,
    ) -> Result<Output, ErrorKind> {
        if !cut && came.len() < limits::OUTPUT_BYTES {
            return Ok(Output { head: came, tail: Vec::new(), dropped_bytes: 0 });
        }
        let name = match stream {
            Stream::Stdout => "out",
            Stream::Stderr => "err",
        };
        let orders = job_script::plain(id, self.place(as_user)?, &format!("a_stream={name}"));
        let running = self.begin(Script::Fetch, as_user, Input::All(orders), Want::AtOnce).await?;
        let mut answer = running.answer(limits::ASK).await?;
        match answer.end {
            End::Fetched { head, tail, dropped } if answer.out.len() == head + tail => {
                let tail = answer.out.split_off(head);
                Ok(Output { head: answer.out, tail, dropped_bytes: dropped })
            }
            // The files are gone: what came with the end is what there is.
            _ => Ok(Output { head: came, tail: Vec::new(), dropped_bytes: 0 }),
        }
    }
}
