//! Which attempts of an operation a host knows of: asked after a restore, whose journal may be older than they are.

use uuid::Uuid;

use super::begin::Input;
use super::error::{Error, ErrorKind};
use super::job_script::{self, Script};
use super::job_wire::End;
use super::ssh_connection::Want;
use super::{Host, JobId, limits};

/// An attempt that was begun on a host, or whose name was taken there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The name of the node's files, as [`JobId::node`] has it.
    pub node: String,
    /// Which attempt.
    pub attempt: u32,
}

impl Host {
    /// The attempts that an operation has begun as a user on this host; `None` where it has no folder for them. Changes
    /// nothing there.
    ///
    /// # Errors
    /// The host cannot be asked; or there are more of them than an answer may have bytes.
    pub async fn jobs(&self, operation: Uuid, as_user: Option<&str>) -> Result<Option<Vec<Begun>>, Error> {
        let id = JobId { operation, node: "list".into(), attempt: 1 };
        let asking = async {
            let orders = job_script::plain(&id, self.place(as_user)?, "");
            let running = self.begin(Script::List, as_user, Input::All(orders), Want::InTurn).await?;
            let answer = running.answer(limits::ASK).await?;
            match answer.end {
                End::Done => Ok(read(&String::from_utf8_lossy(&answer.out))),
                end => Err(ErrorKind::Protocol { said: format!("a list of jobs ended with {end:?}") }),
            }
        };
        asking.await.map_err(|kind| self.error(kind, "looking for jobs"))
    }
}

impl Host {
    /// Removes what a job that has ended wrote. Asked again, it finds nothing to remove.
    ///
    /// # Errors
    /// The host cannot be asked.
    pub async fn forget_output(&self, id: &JobId, as_user: Option<&str>) -> Result<(), Error> {
        let asking = async {
            job_script::check_id(id).map_err(|why| ErrorKind::Invalid { why })?;
            let orders = job_script::plain(id, self.place(as_user)?, "");
            let running = self.begin(Script::Forget, as_user, Input::All(orders), Want::InTurn).await?;
            match running.answer(limits::ASK).await?.end {
                End::Done => Ok(()),
                end => Err(ErrorKind::Protocol { said: format!("removing output ended with {end:?}") }),
            }
        };
        asking.await.map_err(|kind| self.error(kind, &format!("removing the output of {}", job_script::file_name(id))))
    }
}

fn read(answer: &str) -> Option<Vec<Begun>> {
    let begun = |line: &str| {
        let (node, attempt) = line.strip_suffix(".pid")?.rsplit_once('.')?;
        Some(Begun { node: node.to_owned(), attempt: attempt.parse().ok()? })
    };
    answer.lines().any(|line| line == "folder").then(|| answer.lines().filter_map(begun).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_whatever_else_is_in_it() {
        let begun = |node: &str, attempt| Begun { node: node.to_owned(), attempt };
        assert_eq!(read(""), None);
        assert_eq!(read("folder\n"), Some(Vec::new()));
        let answer = "folder\ns.host.1.pid\nodd\nx.pid\nfolder\n2-undo-a.10.0.0.1.12.pid\n";
        assert_eq!(read(answer), Some(vec![begun("s.host", 1), begun("2-undo-a.10.0.0.1", 12)]));
    }
}
