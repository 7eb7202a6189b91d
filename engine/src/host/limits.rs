//! What a host may cost, and for how long it is waited for. Everything has a limit.

use std::time::Duration;

pub use crate::limits::Limit;

/// Resolving a name and opening the TCP connection, all addresses together.
pub const CONNECT: Duration = Duration::from_secs(10);
/// Exchanging keys and checking the host key.
pub const HANDSHAKE: Duration = Duration::from_secs(15);
/// Logging in, all methods together. PAM waits two seconds after a wrong password.
pub const LOGIN: Duration = Duration::from_secs(30);
/// Handshakes at once, over all hosts: they are what costs CPU here.
pub const HANDSHAKES: usize = 16;
/// Silence after which the server is asked whether it is there; [`KEEPALIVE_MAX`] unanswered questions end the connection.
pub const KEEPALIVE: Duration = Duration::from_secs(10);
/// See [`KEEPALIVE`]: a half-open connection is noticed after about 30 s.
pub const KEEPALIVE_MAX: usize = 2;
/// A server that takes nothing for this long ends the connection: while we wait to write, nobody asks whether it is there.
pub const STALLED: Duration = Duration::from_secs(40);
/// Channels at once on one connection. OpenSSH allows 10 sessions (`MaxSessions`); two stay free to kill and to look.
pub const CHANNELS: usize = 8;
/// Stretches of a way to a host: jump hosts, and a program in front of them.
pub const VIA: usize = 8;
/// Channels at once on one connection to a jump host; for more, another connection is opened. `MaxSessions` does not count them.
pub const HOP_CHANNELS: usize = 100;
/// Bytes that arrived through a jump host and wait to be read: over the windows of all channels of one connection together, so
/// only a server that keeps to no window gets there, and is cut off.
pub const HOP_KEPT_BYTES: usize = 192 << 20;
/// How long the program by which a host is reached may take to end after its TERM.
pub const PROGRAM_END: Duration = Duration::from_secs(2);
/// An answer of an SSH agent.
pub const AGENT: Duration = Duration::from_secs(5);
/// A signature of an SSH agent, which may ask a person to touch a key.
pub const AGENT_SIGN: Duration = Duration::from_secs(20);
/// Tries that a server is expected to allow (`MaxAuthTries` of sshd_config(5), default 6). Keys of an agent are offered as long as each way
/// to log in that comes after it keeps one of them.
pub const LOGIN_TRIES: usize = 6;
/// Ways to log in that a host may have.
pub const LOGIN_WAYS: usize = 32;
/// Questions of keyboard-interactive in one login, in rounds.
pub const QUESTION_ROUNDS: usize = 10;
/// What a server says when it hangs up is waited for this long.
pub const FAREWELL: Duration = Duration::from_secs(1);
/// A file with a key or a certificate.
pub const KEY_FILE_BYTES: u64 = 64 << 10;
/// A file of known host keys.
pub const KNOWN_HOSTS_BYTES: u64 = 64 << 20;
/// How long a channel that the server refuses is asked for again, where we have no other that would end.
pub const CHANNEL_WAIT: Duration = Duration::from_secs(60);
/// How long it is asked for again before the server is taken to allow no more than we have.
pub const SESSION_PATIENCE: Duration = Duration::from_secs(2);
/// After so long a wait for a turn one channel more is tried than the server allowed before.
pub const SESSION_AGAIN: Duration = Duration::from_secs(60);
/// The first pause after a server hung up before the login; it doubles, and each is drawn between half and one and a half of it.
pub const HUNG_UP_PAUSE: Duration = Duration::from_millis(200);
/// The longest of these pauses.
pub const HUNG_UP_LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// From asking for a shell until it says that it has begun. sudo's questions are in it.
pub const BEGIN: Duration = Duration::from_secs(45);
/// After this silence a prompt that is not sudo's own is taken for one (PAM may word it differently).
pub const FOREIGN_PROMPT: Duration = Duration::from_secs(3);
/// After this silence a second prompt, when the password was given, is a question that nobody answers.
pub const SECOND_PROMPT: Duration = Duration::from_secs(10);
/// What a shell or sudo may write before our script begins; more is dropped.
pub const PREAMBLE_BYTES: usize = 64 << 10;
/// What they may write in all; then they are taken to write without end.
pub const NOISE_BYTES: usize = 256 << 10;
/// After a program without files has ended, silence of this length means that whoever keeps its channel open is a child that
/// it left behind.
pub const AFTER_EXIT: Duration = Duration::from_secs(1);
/// Live output starts after this long, so that short jobs do not pay for it.
pub const LIVE_AFTER: Duration = Duration::from_millis(1000);
/// A deadline over this is also kept on the host, by the supervisor's watchdog.
pub const WATCHDOG_OVER: Duration = Duration::from_secs(60);
/// How much later than the host's watchdog the engine acts.
pub const WATCHDOG_GRACE: Duration = Duration::from_secs(20);
/// A kill, with its TERM, grace and KILL.
pub const KILL: Duration = Duration::from_secs(60);
/// Short questions to a host: check, sweep, fetch.
pub const ASK: Duration = Duration::from_secs(60);
/// Output kept at each end of a stream. `common.sh`, `trim.sh` and `fetch.sh` know the number too.
pub const OUTPUT_END_BYTES: usize = 256 << 10;
/// Output that comes with the end of a job, per stream: both ends. More is asked for.
pub const OUTPUT_BYTES: usize = 2 * OUTPUT_END_BYTES;
/// Text of a script.
pub const SCRIPT_BYTES: usize = 1 << 20;
/// Scripts and inputs up to this come with the job's text; larger ones are copied on the host by `cat`, which costs a fork.
pub const INLINE_BYTES: usize = 4 << 10;
/// Shell text up to this goes by the environment, where Linux allows 128 KiB a string.
pub const ENVIRONMENT_TEXT_BYTES: usize = 100 << 10;
/// Standard input of a job.
pub const STDIN_BYTES: usize = 16 << 20;
/// Arguments and environment together; Linux allows about 2 MiB and 128 KiB each.
pub const ARGUMENT_BYTES: usize = 1 << 20;
/// Length of a path on a host; Linux allows no more.
pub const PATH_BYTES: usize = 4095;
/// Length of a node name in a file name.
pub const NODE_NAME_BYTES: usize = 100;
/// An upload up to this goes through the shell's channel; above, by SFTP, which keeps the line full.
pub const STREAM_UPLOAD_BYTES: u64 = 1 << 20;
/// How much of a file here is read at once.
pub const PIECE_BYTES: usize = 256 << 10;
/// The same where it goes through the shell's channel. The next piece waits until this one has left: what a connection once held, it
/// keeps.
pub const CHANNEL_PIECE_BYTES: usize = 64 << 10;
/// One SFTP write, and how many are on their way at once: measured to fill a line of 50 ms.
pub const SFTP_WRITE_BYTES: u32 = 255 << 10;
/// See [`SFTP_WRITE_BYTES`].
pub const SFTP_WRITES: usize = 64;
/// One answer of an SFTP server (seconds); a full disk or a slow one may take its time.
pub const SFTP_ANSWER_S: u64 = 60;
/// What is asked for at once of a file that a host gives away. `give.sh` and `upload.sh` know the number too.
pub const BLOCK_BYTES: u64 = 1 << 20;
/// Blocks on their way at once: they fill a line of 50 ms.
pub const BLOCKS: u64 = 8;
/// How often in a row a transfer goes on after its connection broke, without a byte that is new.
pub const RESUMES: u32 = 5;
/// A job folder in which nothing was begun for this long, and nothing lives, is swept with those of an operation that ends.
pub const STALE: Duration = Duration::from_secs(90 * 86_400);
/// How many of those are swept at once.
pub const STALE_FOLDERS: usize = 100;
/// How long a download waits for the last write of an earlier attempt.
pub const EARLIER_WRITE: Duration = Duration::from_secs(20);
/// Largest upload.
pub const UPLOAD_BYTES: u64 = 64 << 30;
/// Processes named after a kill that left some.
pub const SURVIVORS: usize = 50;

/// All limits, in the order of this file.
pub fn table() -> Vec<Limit> {
    let limit = |name, value, unit, about| Limit { name, value, unit, about };
    vec![
        limit(
            "CONNECT",
            CONNECT.as_millis() as u64,
            "ms",
            "Resolving a name and opening the TCP connection, all addresses together.",
        ),
        limit("HANDSHAKE", HANDSHAKE.as_millis() as u64, "ms", "Exchanging keys and checking the host key."),
        limit("LOGIN", LOGIN.as_millis() as u64, "ms", "Logging in, all methods together."),
        limit(
            "HANDSHAKES",
            HANDSHAKES as u64,
            "at once",
            "Handshakes at once, over all hosts: they are what costs CPU here.",
        ),
        limit(
            "KEEPALIVE",
            KEEPALIVE.as_millis() as u64,
            "ms",
            "Silence after which the server is asked whether it is there; `KEEPALIVE_MAX` unanswered questions end the connection.",
        ),
        limit("KEEPALIVE_MAX", KEEPALIVE_MAX as u64, "count", "Unanswered questions that end a connection."),
        limit(
            "STALLED",
            STALLED.as_millis() as u64,
            "ms",
            "A server that takes nothing for this long ends the connection.",
        ),
        limit("CHANNELS", CHANNELS as u64, "at once", "Channels at once on one connection."),
        limit("VIA", VIA as u64, "count", "Stretches of a way to a host: jump hosts, and a program in front of them."),
        limit(
            "HOP_CHANNELS",
            HOP_CHANNELS as u64,
            "at once",
            "Channels at once on one connection to a jump host; for more, another connection is opened.",
        ),
        limit(
            "HOP_KEPT_BYTES",
            HOP_KEPT_BYTES as u64,
            "bytes",
            "What arrived from a host through a jump host and waits to be read; a host that keeps to no window is cut off.",
        ),
        limit(
            "PROGRAM_END",
            PROGRAM_END.as_millis() as u64,
            "ms",
            "How long the program by which a host is reached may take to end after its TERM.",
        ),
        limit("AGENT", AGENT.as_millis() as u64, "ms", "An answer of an SSH agent."),
        limit(
            "AGENT_SIGN",
            AGENT_SIGN.as_millis() as u64,
            "ms",
            "A signature of an SSH agent, which may ask a person to touch a key.",
        ),
        limit(
            "LOGIN_TRIES",
            LOGIN_TRIES as u64,
            "count",
            "Tries that a server is expected to allow (`MaxAuthTries`): keys of an agent are offered as long as each way to log in that comes after it keeps one.",
        ),
        limit("LOGIN_WAYS", LOGIN_WAYS as u64, "count", "Ways to log in that a host may have."),
        limit(
            "QUESTION_ROUNDS",
            QUESTION_ROUNDS as u64,
            "count",
            "Rounds of questions of keyboard-interactive in one login.",
        ),
        limit(
            "FAREWELL",
            FAREWELL.as_millis() as u64,
            "ms",
            "What a server says when it hangs up is waited for this long.",
        ),
        limit("KEY_FILE_BYTES", KEY_FILE_BYTES, "bytes", "A file with a key or a certificate."),
        limit("KNOWN_HOSTS_BYTES", KNOWN_HOSTS_BYTES, "bytes", "A file of known host keys."),
        limit(
            "CHANNEL_WAIT",
            CHANNEL_WAIT.as_millis() as u64,
            "ms",
            "How long a channel that the server refuses is asked for again, where we have no other that would end.",
        ),
        limit(
            "SESSION_PATIENCE",
            SESSION_PATIENCE.as_millis() as u64,
            "ms",
            "How long it is asked for again before the server is taken to allow no more than we have.",
        ),
        limit(
            "SESSION_AGAIN",
            SESSION_AGAIN.as_millis() as u64,
            "ms",
            "After so long a wait for a turn one channel more is tried than the server allowed before.",
        ),
        limit(
            "HUNG_UP_PAUSE",
            HUNG_UP_PAUSE.as_millis() as u64,
            "ms",
            "The first pause after a server hung up before the login; it doubles, and is drawn anew each time. All within `CONNECT`.",
        ),
        limit("HUNG_UP_LONGEST_PAUSE", HUNG_UP_LONGEST_PAUSE.as_millis() as u64, "ms", "The longest of these pauses."),
        limit("BEGIN", BEGIN.as_millis() as u64, "ms", "From asking for a shell until it says that it has begun."),
        limit(
            "FOREIGN_PROMPT",
            FOREIGN_PROMPT.as_millis() as u64,
            "ms",
            "After this silence a prompt that is not sudo's own is taken for one (PAM may word it differently).",
        ),
        limit(
            "SECOND_PROMPT",
            SECOND_PROMPT.as_millis() as u64,
            "ms",
            "After this silence a second prompt, when the password was given, is a question that nobody answers.",
        ),
        limit(
            "PREAMBLE_BYTES",
            PREAMBLE_BYTES as u64,
            "bytes",
            "What a shell or sudo may write before our script begins; more is dropped.",
        ),
        limit(
            "NOISE_BYTES",
            NOISE_BYTES as u64,
            "bytes",
            "What they may write in all before our script begins; then they are taken to write without end.",
        ),
        limit(
            "AFTER_EXIT",
            AFTER_EXIT.as_millis() as u64,
            "ms",
            "After the end of a probe or another program without files, silence of this length means that a child keeps its channel open.",
        ),
        limit(
            "LIVE_AFTER",
            LIVE_AFTER.as_millis() as u64,
            "ms",
            "Live output starts after this long, so that short jobs do not pay for it.",
        ),
        limit(
            "WATCHDOG_OVER",
            WATCHDOG_OVER.as_millis() as u64,
            "ms",
            "A deadline over this is also kept on the host, by the supervisor's watchdog.",
        ),
        limit(
            "WATCHDOG_GRACE",
            WATCHDOG_GRACE.as_millis() as u64,
            "ms",
            "How much later than the host's watchdog the engine acts.",
        ),
        limit("KILL", KILL.as_millis() as u64, "ms", "A kill, with its TERM, grace and KILL."),
        limit("ASK", ASK.as_millis() as u64, "ms", "Short questions to a host: check, sweep, fetch."),
        limit("OUTPUT_END_BYTES", OUTPUT_END_BYTES as u64, "bytes", "Output kept at each end of a stream."),
        limit(
            "OUTPUT_BYTES",
            OUTPUT_BYTES as u64,
            "bytes",
            "Output that comes with the end of a job, per stream: both ends.",
        ),
        limit("SCRIPT_BYTES", SCRIPT_BYTES as u64, "bytes", "Text of a script."),
        limit(
            "INLINE_BYTES",
            INLINE_BYTES as u64,
            "bytes",
            "Scripts and inputs up to this come with the job's text; larger ones are copied on the host by `cat`, which costs a fork.",
        ),
        limit(
            "ENVIRONMENT_TEXT_BYTES",
            ENVIRONMENT_TEXT_BYTES as u64,
            "bytes",
            "Shell text up to this goes by the environment, where Linux allows 128 KiB a string.",
        ),
        limit("STDIN_BYTES", STDIN_BYTES as u64, "bytes", "Standard input of a job."),
        limit(
            "ARGUMENT_BYTES",
            ARGUMENT_BYTES as u64,
            "bytes",
            "Arguments and environment together; Linux allows about 2 MiB and 128 KiB each.",
        ),
        limit("PATH_BYTES", PATH_BYTES as u64, "bytes", "Length of a path on a host; Linux allows no more."),
        limit("NODE_NAME_BYTES", NODE_NAME_BYTES as u64, "bytes", "Length of a node name in a file name."),
        limit(
            "STREAM_UPLOAD_BYTES",
            STREAM_UPLOAD_BYTES,
            "bytes",
            "An upload up to this goes through the shell's channel; above, by SFTP, which keeps the line full.",
        ),
        limit("PIECE_BYTES", PIECE_BYTES as u64, "bytes", "How much of a file here is read at once."),
        limit(
            "CHANNEL_PIECE_BYTES",
            CHANNEL_PIECE_BYTES as u64,
            "bytes",
            "The same where it goes through the shell's channel; the next piece waits until this one has left.",
        ),
        limit(
            "SFTP_WRITE_BYTES",
            SFTP_WRITE_BYTES as u64,
            "bytes",
            "One SFTP write, and how many are on their way at once: measured to fill a line of 50 ms.",
        ),
        limit("SFTP_WRITES", SFTP_WRITES as u64, "at once", "SFTP writes on their way at once."),
        limit(
            "SFTP_ANSWER_S",
            SFTP_ANSWER_S,
            "s",
            "One answer of an SFTP server (seconds); a full disk or a slow one may take its time.",
        ),
        limit("BLOCK_BYTES", BLOCK_BYTES, "bytes", "What is asked for at once of a file that a host gives away."),
        limit("BLOCKS", BLOCKS, "at once", "Blocks on their way at once: they fill a line of 50 ms."),
        limit(
            "RESUMES",
            RESUMES.into(),
            "times",
            "How often in a row a transfer goes on after its connection broke, without a byte that is new.",
        ),
        limit(
            "STALE",
            STALE.as_millis() as u64,
            "ms",
            "A job folder in which nothing was begun for this long, and nothing lives, is swept when an operation ends.",
        ),
        limit("STALE_FOLDERS", STALE_FOLDERS as u64, "count", "How many of those are swept at once."),
        limit(
            "EARLIER_WRITE",
            EARLIER_WRITE.as_millis() as u64,
            "ms",
            "How long a download waits for the last write of an earlier attempt.",
        ),
        limit("UPLOAD_BYTES", UPLOAD_BYTES, "bytes", "Largest file that is brought to a host, or from one."),
        limit("SURVIVORS", SURVIVORS as u64, "count", "Processes named after a kill that left some."),
    ]
}
