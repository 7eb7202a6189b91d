//! Whether a machine was started anew since an attempt began on it.

use super::begin::Input;
use super::error::{Error, ErrorKind};
use super::job_script::{self, Script};
use super::job_wire::End;
use super::ssh_connection::Want;
use super::{Host, JobId, limits};

/// What the attempt's record on the host says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restarted {
    /// The machine has another boot id than the one under which the attempt began.
    Yes,
    /// It is the same start, and the attempt is at work or gone without a record of its end.
    NotYet,
    /// It is the same start, and the attempt ended with this exit code.
    Ended(i32),
    /// The attempt never began here. By this question nothing is claimed: it still may.
    NeverBegan,
}

impl Host {
    /// Asks the host, which accepts our login by that.
    ///
    /// # Errors
    /// The host cannot be asked.
    pub async fn restarted(&self, id: &JobId, as_user: Option<&str>) -> Result<Restarted, Error> {
        let asking = async {
            job_script::check_id(id).map_err(|why| ErrorKind::Invalid { why })?;
            let orders = job_script::plain(id, self.place(as_user)?, "");
            let running = self.begin(Script::Restarted, as_user, Input::All(orders), Want::InTurn).await?;
            match running.answer(limits::ASK).await?.end {
                End::Rebooted => Ok(Restarted::Yes),
                End::Followed | End::Vanished => Ok(Restarted::NotYet),
                End::Exit { code, .. } => Ok(Restarted::Ended(code)),
                End::Never => Ok(Restarted::NeverBegan),
                end => Err(ErrorKind::Protocol { said: format!("a question about a restart ended with {end:?}") }),
            }
        };
        asking.await.map_err(|kind| self.error(kind, "asking whether it was restarted"))
    }
}
