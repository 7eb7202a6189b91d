//! Keyboard-interactive (RFC 4256): what a server asks, and what is answered.

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse, Prompt};
use store::Secret;

use super::error::shown;
use super::host_key::Client;
use super::{Answer, limits};

/// From where the answers come.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answers<'a> {
    /// The password, to one hidden question: where `PasswordAuthentication` is off, PAM asks for it like this.
    Password(&'a Secret),
    /// To each question the first entry whose text stands in it, and that was not used yet: what is asked again was wrong the
    /// first time, and who is asked for a new password has another conversation in mind.
    Given(&'a [Answer]),
}

/// What a conversation came to.
#[derive(Debug)]
pub(super) struct Talked {
    /// What the server said in the end; nothing where it went on asking.
    pub(super) result: Option<AuthResult>,
    /// The first question that nobody answered. An empty answer was sent, for there is no other way to go on.
    pub(super) unanswered: Option<String>,
}

/// What was answered already.
struct Talk<'a> {
    answers: Answers<'a>,
    used: Vec<bool>,
}

/// Holds one conversation.
pub(super) async fn talk(
    handle: &mut Handle<Client>,
    user: &str,
    answers: Answers<'_>,
) -> Result<Talked, russh::Error> {
    let mut talk = Talk::new(answers);
    let mut unanswered = None;
    let mut said = handle.authenticate_keyboard_interactive_start(user, None::<String>).await?;
    for _ in 0..limits::QUESTION_ROUNDS {
        let (remaining_methods, partial_success) = match said {
            KeyboardInteractiveAuthResponse::Success => {
                return Ok(Talked { result: Some(AuthResult::Success), unanswered });
            }
            KeyboardInteractiveAuthResponse::Failure { remaining_methods, partial_success } => {
                (remaining_methods, partial_success)
            }
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                let answers = prompts.iter().map(|prompt| {
                    talk.answer(prompt).unwrap_or_else(|| {
                        unanswered.get_or_insert_with(|| shown(prompt.prompt.as_bytes()));
                        String::new()
                    })
                });
                said = handle.authenticate_keyboard_interactive_respond(answers.collect()).await?;
                continue;
            }
        };
        return Ok(Talked { result: Some(AuthResult::Failure { remaining_methods, partial_success }), unanswered });
    }
    Ok(Talked { result: None, unanswered })
}

impl<'a> Talk<'a> {
    fn new(answers: Answers<'a>) -> Self {
        let count = match answers {
            Answers::Password(_) => 1,
            Answers::Given(given) => given.len(),
        };
        Self { answers, used: vec![false; count] }
    }

    fn answer(&mut self, prompt: &Prompt) -> Option<String> {
        let asked = prompt.prompt.to_lowercase();
        let (at, answer) = match self.answers {
            Answers::Password(_) if prompt.echo || self.used[0] => return None,
            Answers::Password(password) => (0, password),
            Answers::Given(given) => {
                let fits = |at: usize| !self.used[at] && asked.contains(&given[at].question.to_lowercase());
                let at = (0..given.len()).find(|&at| fits(at))?;
                (at, &given[at].answer)
            }
        };
        self.used[at] = true;
        Some(answer.expose().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_question_has_the_answer_whose_text_stands_in_it_once() {
        let given = |question: &str, answer: &str| Answer { question: question.into(), answer: answer.into() };
        let entries = [given("password", "p"), given("CODE", "1"), given("code", "2"), given("", "any")];
        let password = Secret::from("p");
        let say = |answers: Answers<'_>, questions: &[(&str, bool)]| {
            let mut talk = Talk::new(answers);
            let ask = |&(prompt, echo): &(&str, bool)| talk.answer(&Prompt { prompt: prompt.into(), echo });
            questions.iter().map(ask).map(|said| said.unwrap_or("-".into())).collect::<Vec<_>>().join(" ")
        };
        let all = Answers::Given(&entries);
        assert_eq!(say(all, &[("Password: ", false), ("Verification code: ", true)]), "p 1");
        assert_eq!(say(all, &[("Code", true), ("Next code", true), ("Token", true), ("Token", true)]), "1 2 any -");
        assert_eq!(say(Answers::Given(&entries[..1]), &[("Password:", false), ("New password:", false)]), "p -");
        assert_eq!(say(Answers::Given(&[]), &[("Password:", false)]), "-");
        let one = Answers::Password(&password);
        assert_eq!(say(one, &[("PIN for sk-key", false), ("Again", false)]), "p -");
        assert_eq!(say(one, &[("Name", true), ("Password", false)]), "- p");
    }
}
