//! What a host may cost, and for how long it is waited for. Everything has a limit.

use std::time::Duration;

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
/// Channels at once on one connection. OpenSSH allows 10 sessions (`MaxSessions`); two stay free to kill and to look.
pub const CHANNELS: usize = 8;
/// How long a channel that the server refuses is asked for again.
pub const CHANNEL_WAIT: Duration = Duration::from_secs(60);
/// From asking for a shell until it says that it has begun. sudo's questions are in it.
pub const BEGIN: Duration = Duration::from_secs(45);
/// After this silence a prompt that is not sudo's own is taken for one (PAM may word it differently).
pub const FOREIGN_PROMPT: Duration = Duration::from_secs(3);
/// What a shell or sudo may write before our script begins; more is dropped.
pub const PREAMBLE_BYTES: usize = 64 << 10;
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
/// Length of a node name in a file name.
pub const NODE_NAME_BYTES: usize = 100;
/// An upload up to this goes through the shell's channel; above, by SFTP, which keeps the line full.
pub const STREAM_UPLOAD_BYTES: u64 = 1 << 20;
/// One SFTP write, and how many are on their way at once: measured to fill a line of 50 ms.
pub const SFTP_WRITE_BYTES: u32 = 255 << 10;
/// See [`SFTP_WRITE_BYTES`].
pub const SFTP_WRITES: usize = 64;
/// One answer of an SFTP server (seconds); a full disk or a slow one may take its time.
pub const SFTP_ANSWER_S: u64 = 60;
/// Largest upload.
pub const UPLOAD_BYTES: u64 = 64 << 30;
/// Processes named after a kill that left some.
pub const SURVIVORS: usize = 50;
