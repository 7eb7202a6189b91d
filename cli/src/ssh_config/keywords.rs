//! What is done with each keyword of ssh_config(5).

/// See [`of`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyword {
    Host,
    Match,
    Include,
    HostName,
    User,
    Port,
    IdentityFile,
    IdentitiesOnly,
    IdentityAgent,
    CertificateFile,
    ProxyJump,
    ProxyCommand,
    UserKnownHostsFile,
    GlobalKnownHostsFile,
    StrictHostKeyChecking,
    HostKeyAlias,
    PubkeyAuthentication,
    PreferredAuthentications,
    IgnoreUnknown,
    /// It makes no difference here: the look of a terminal, forwarding, what an interactive session is like, how OpenSSH's own
    /// connection is kept.
    Harmless,
    /// It would make a difference and is not done here; a warning says so, unless its value is this one.
    NotDone(&'static str),
    /// Nobody here knows it.
    Unknown,
}

/// What a keyword is, in small letters.
pub fn of(keyword: &str) -> Keyword {
    use Keyword as K;
    match keyword {
        "host" => K::Host,
        "match" => K::Match,
        "include" => K::Include,
        "hostname" => K::HostName,
        "user" => K::User,
        "port" => K::Port,
        "identityfile" | "identityfile2" => K::IdentityFile,
        "identitiesonly" => K::IdentitiesOnly,
        "identityagent" => K::IdentityAgent,
        "certificatefile" => K::CertificateFile,
        "proxyjump" => K::ProxyJump,
        "proxycommand" => K::ProxyCommand,
        "userknownhostsfile" => K::UserKnownHostsFile,
        "globalknownhostsfile" => K::GlobalKnownHostsFile,
        "stricthostkeychecking" => K::StrictHostKeyChecking,
        "hostkeyalias" => K::HostKeyAlias,
        "pubkeyauthentication" | "dsaauthentication" => K::PubkeyAuthentication,
        "preferredauthentications" => K::PreferredAuthentications,
        "ignoreunknown" => K::IgnoreUnknown,
        // Whom we trust.
        "verifyhostkeydns" | "nohostauthenticationforlocalhost" | "hostbasedauthentication" => K::NotDone("no"),
        "knownhostscommand" | "revokedhostkeys" | "pkcs11provider" | "smartcarddevice" => K::NotDone("none"),
        "securitykeyprovider" => K::NotDone("internal"),
        // How we get there.
        "canonicalizehostname" | "proxyusefdpass" => K::NotDone("no"),
        "addressfamily" => K::NotDone("any"),
        "bindaddress" | "bindinterface" | "refuseconnection" | "tag" => K::NotDone("none"),
        // Passwords come from the inventory only, and are tried where they are given.
        "passwordauthentication"
        | "kbdinteractiveauthentication"
        | "challengeresponseauthentication"
        | "skeyauthentication"
        | "tisauthentication"
        | "kbdinteractivedevices"
        | "numberofpasswordprompts"
        | "batchmode" => K::Harmless,
        "addkeystoagent"
        | "canonicaldomains"
        | "canonicalizefallbacklocal"
        | "canonicalizemaxdots"
        | "canonicalizepermittedcnames"
        | "casignaturealgorithms"
        | "channeltimeout"
        | "checkhostip"
        | "ciphers"
        | "clearallforwardings"
        | "compression"
        | "compressionlevel"
        | "connectionattempts"
        | "connecttimeout"
        | "controlmaster"
        | "controlpath"
        | "controlpersist"
        | "dynamicforward"
        | "enableescapecommandline"
        | "enablesshkeysign"
        | "escapechar"
        | "exitonforwardfailure"
        | "fingerprinthash"
        | "forkafterauthentication"
        | "forwardagent"
        | "forwardx11"
        | "forwardx11timeout"
        | "forwardx11trusted"
        | "gatewayports"
        | "gssapiauthentication"
        | "gssapiclientidentity"
        | "gssapidelegatecredentials"
        | "gssapikexalgorithms"
        | "gssapikeyexchange"
        | "gssapirenewalforcesrekey"
        | "gssapiserveridentity"
        | "gssapitrustdns"
        | "hashknownhosts"
        | "hostbasedacceptedalgorithms"
        | "hostbasedkeytypes"
        | "hostkeyalgorithms"
        | "ipqos"
        | "kexalgorithms"
        | "keepalive"
        | "localcommand"
        | "localforward"
        | "loglevel"
        | "logverbose"
        | "macs"
        | "obscurekeystroketiming"
        | "permitlocalcommand"
        | "permitremoteopen"
        | "protocol"
        | "pubkeyacceptedalgorithms"
        | "pubkeyacceptedkeytypes"
        | "rekeylimit"
        | "remotecommand"
        | "remoteforward"
        | "requesttty"
        | "requiredrsasize"
        | "rhostsrsaauthentication"
        | "rsaauthentication"
        | "sendenv"
        | "serveralivecountmax"
        | "serveraliveinterval"
        | "sessiontype"
        | "setenv"
        | "stdinnull"
        | "streamlocalbindmask"
        | "streamlocalbindunlink"
        | "syslogfacility"
        | "tcpkeepalive"
        | "tunnel"
        | "tunneldevice"
        | "updatehostkeys"
        | "useblacklistedkeys"
        | "usekeychain"
        | "useprivilegedport"
        | "useroaming"
        | "usersh"
        | "versionaddendum"
        | "visualhostkey"
        | "warnweakcrypto"
        | "xauthlocation" => K::Harmless,
        _ => K::Unknown,
    }
}

/// Whether a line that begins like this can be one of `ssh_config`.
pub fn is_known(keyword: &str) -> bool {
    of(&keyword.to_lowercase()) != Keyword::Unknown
}
