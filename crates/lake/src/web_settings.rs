//! `[web]`: the page, where people of an organisation share it.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// `[web]`: how `serve --shared` is reached, and who may do what there.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebSettings {
    /// Where it listens.
    #[serde(default = "default_address")]
    pub address: SocketAddr,
    /// How people reach it: `https://credits.example.com`.
    pub url: String,
    /// The OpenID provider, as it names itself.
    pub issuer: String,
    /// What the provider calls this page.
    pub client_id: String,
    /// Where the client's secret is; a provider may do without, as every sign-in carries a proof of its own (PKCE).
    #[serde(default, deserialize_with = "client_secret")]
    pub client_secret: Option<SecretReference>,
    /// Where the key of sessions is, 64 characters or more; without one, sessions end with the process.
    #[serde(default, deserialize_with = "session_key")]
    pub session_key: Option<SecretReference>,
    /// What is asked of the provider.
    #[serde(default = "default_scopes")]
    pub scopes: Vec<String>,
    /// The claim of the identity token that has a person's groups.
    #[serde(default = "default_groups_claim")]
    pub groups_claim: String,
    /// Which groups have which role.
    pub roles: RoleGroups,
    /// `access.csv`, which limits people to nodes: a file or `s3://bucket/key`; without one nobody is limited.
    pub access: Option<String>,
}

/// `[web.roles]`: groups of each role.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RoleGroups {
    /// May look.
    pub viewer: Vec<String>,
    /// May say whose a credit is, too.
    pub allocator: Vec<String>,
    /// May start runs, too.
    pub closer: Vec<String>,
    /// Is not limited to nodes.
    pub admin: Vec<String>,
}

/// Where a secret is kept: `env:NAME` or `file:/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretReference {
    /// An environment variable.
    Variable(String),
    /// A file; a line break at its end is no part of the secret.
    File(String),
}

fn client_secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretReference>, D::Error> {
    reference("client_secret", deserializer)
}

fn session_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretReference>, D::Error> {
    reference("session_key", deserializer)
}

/// The text is not repeated where it is no reference: it may be the secret.
fn reference<'de, D: Deserializer<'de>>(key: &str, deserializer: D) -> Result<Option<SecretReference>, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.split_once(':') {
        Some(("env", name)) if !name.is_empty() => Ok(Some(SecretReference::Variable(name.to_owned()))),
        Some(("file", path)) if !path.is_empty() => Ok(Some(SecretReference::File(path.to_owned()))),
        _ => Err(Error::custom(format!(
            "{key}: a secret does not stand in the settings; say where it is: \"env:NAME\" or \"file:/path\""
        ))),
    }
}

impl SecretReference {
    /// The secret.
    ///
    /// # Errors
    /// Where it is not there, in words that do not hold it.
    #[expect(clippy::disallowed_methods, reason = "the settings name the variable")]
    pub fn read(&self) -> Result<String, String> {
        let secret = match self {
            Self::Variable(name) => {
                std::env::var(name).map_err(|_| format!("the environment variable {name} is not set"))?
            }
            Self::File(path) => std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?,
        };
        let secret = secret.trim_end_matches(['\r', '\n']);
        if secret.is_empty() { Err("is empty".to_owned()) } else { Ok(secret.to_owned()) }
    }
}

fn default_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8765))
}

fn default_scopes() -> Vec<String> {
    ["openid", "email", "profile"].map(str::to_owned).into()
}

fn default_groups_claim() -> String {
    "groups".to_owned()
}

/// The host of `https://host[:port]`, with the port where one is stated; plain `http://` is for this machine only.
fn host(url: &str) -> Result<&str, &'static str> {
    let (host, is_secure) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (rest, true),
        (None, Some(rest)) => (rest, false),
        (None, None) => return Err("must begin with https://"),
    };
    let host = host.split('/').next().unwrap_or_default();
    let name = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(host, |(name, _)| name);
    let address = name.trim_matches(['[', ']']).parse::<IpAddr>();
    let is_loopback = name == "localhost" || address.is_ok_and(|address| address.is_loopback());
    match () {
        () if name.is_empty() || host.contains(['@', '?', '#']) || host.chars().any(char::is_whitespace) => {
            Err("has no host")
        }
        () if !is_secure && !is_loopback => Err("must begin with https://; http:// is for this machine only"),
        () => Ok(host),
    }
}

impl WebSettings {
    /// What a browser calls the page: host, and port where the address has one.
    #[must_use]
    pub fn host(&self) -> &str {
        host(&self.url).unwrap_or_default()
    }

    /// True where the page is reached over TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.url.starts_with("https://")
    }

    /// The address without a `/` at its end.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.url.trim_end_matches('/')
    }

    /// Files of secrets are looked for from the folder of the settings.
    pub(crate) fn find_secrets_from(&mut self, folder: &Path) {
        for secret in [&mut self.client_secret, &mut self.session_key] {
            if let Some(SecretReference::File(path)) = secret {
                *path = folder.join(&*path).to_string_lossy().into_owned();
            }
        }
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        let wrong = |key: &'static str| move |why: &str| format!("[web] {key} {why}");
        let of_page = host(&self.url).map_err(wrong("url"))?;
        if self.origin().split_once("://").is_none_or(|(_, rest)| rest != of_page) {
            return Err(wrong("url")("must end with the host: the page is not served below a path"));
        }
        host(&self.issuer).map_err(wrong("issuer"))?;
        if self.client_id.trim().is_empty() {
            return Err(wrong("client_id")("is empty"));
        }
        if !self.scopes.iter().any(|scope| scope == "openid") {
            return Err(wrong("scopes")("must hold \"openid\""));
        }
        let RoleGroups { viewer, allocator, closer, admin } = &self.roles;
        let groups: Vec<&String> = [viewer, allocator, closer, admin].into_iter().flatten().collect();
        match groups.iter().any(|group| group.trim().is_empty()) {
            true => Err("[web.roles] a group has no name".to_owned()),
            false if groups.is_empty() => Err("[web.roles] names no group, so nobody could get in".to_owned()),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
        url = "https://credits.example.com/"
        issuer = "https://login.example.com/realm"
        client_id = "finops-credits"
        roles.viewer = ["finance"]
    "#;

    fn wrong(of: &str, with: &str) -> String {
        let text =
            WHOLE.lines().filter(|line| !line.trim().starts_with(of)).chain([with]).collect::<Vec<_>>().join("\n");
        match toml::from_str::<WebSettings>(&text) {
            Ok(settings) => settings.check().unwrap_err(),
            Err(error) => error.message().to_owned(),
        }
    }

    #[test]
    fn what_is_not_said_is_as_most_have_it() {
        let settings: WebSettings = toml::from_str(WHOLE).unwrap();
        settings.check().unwrap();
        assert_eq!((settings.host(), settings.is_secure()), ("credits.example.com", true));
        assert_eq!(settings.origin(), "https://credits.example.com");
        assert_eq!(settings.address.to_string(), "127.0.0.1:8765");
        assert_eq!(
            (settings.scopes.join(" "), settings.groups_claim.as_str()),
            ("openid email profile".to_owned(), "groups")
        );
        assert!(settings.client_secret.is_none() && settings.session_key.is_none() && settings.access.is_none());
    }

    #[test]
    fn what_would_let_in_or_give_away_is_refused_by_its_key() {
        for (of, with, said) in [
            (
                "url",
                "url = \"http://credits.example.com\"",
                "[web] url must begin with https://; http:// is for this machine only",
            ),
            ("url", "url = \"https://credits.example.com/finops\"", "[web] url must end with the host"),
            ("url", "url = \"https://\"", "[web] url has no host"),
            ("issuer", "issuer = \"http://login.example.com\"", "[web] issuer must begin with https://"),
            ("issuer", "issuer = \"http://127.0.0.1.example.com\"", "[web] issuer must begin with https://"),
            ("client_id", "client_id = \" \"", "[web] client_id is empty"),
            ("scopes", "scopes = [\"email\"]", "[web] scopes must hold \"openid\""),
            ("roles", "roles.viewer = []", "[web.roles] names no group"),
            ("roles", "roles.viewer = [\"\"]", "[web.roles] a group has no name"),
            ("roles", "roles.reader = [\"finance\"]", "unknown field `reader`"),
            ("issuer", "", "missing field `issuer`"),
        ] {
            let message = wrong(of, with);
            assert!(message.starts_with(said), "{with}: {message}");
        }
    }

    #[test]
    fn secret_in_the_settings_is_refused_without_being_repeated() {
        let message = wrong("nothing", "client_secret = \"hunter2\"");
        assert!(
            message.contains("say where it is: \"env:NAME\" or \"file:/path\"") && !message.contains("hunter2"),
            "{message}"
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter2\n").unwrap();
        let reference = SecretReference::File(file.path().to_string_lossy().into_owned());
        assert_eq!(reference.read().unwrap(), "hunter2");
        std::fs::write(file.path(), "\n").unwrap();
        assert_eq!(reference.read().unwrap_err(), "is empty");
        let unset = SecretReference::Variable("FINOPS_CREDITS_UNSET".to_owned());
        assert_eq!(unset.read().unwrap_err(), "the environment variable FINOPS_CREDITS_UNSET is not set");
    }

    #[test]
    fn page_on_this_machine_needs_no_tls() {
        for (url, expected) in
            [("http://127.0.0.1:80", "127.0.0.1:80"), ("http://localhost", "localhost"), ("http://[::1]:8", "[::1]:8")]
        {
            assert_eq!(host(url), Ok(expected));
        }
    }

    #[test]
    fn address_is_one_that_a_browser_could_ask_and_nobody_else_could_pass_off() {
        for (url, expected) in [
            ("https://credits.example.com:8443", Ok("credits.example.com:8443")),
            ("https://[2001:db8::1]:8443", Ok("[2001:db8::1]:8443")),
            ("http://[::1]", Ok("[::1]")),
            ("http://127.9.9.9", Ok("127.9.9.9")),
            ("https://ann@example.com", Err("has no host")),
            ("https://example.com?x=1", Err("has no host")),
            ("https://example.com#top", Err("has no host")),
            ("https://exa mple.com", Err("has no host")),
            ("https://:8443", Err("has no host")),
            ("http://localhost.example.com", Err("must begin with https://; http:// is for this machine only")),
            ("http://[2001:db8::1]", Err("must begin with https://; http:// is for this machine only")),
            ("HTTPS://example.com", Err("must begin with https://")),
            ("example.com", Err("must begin with https://")),
            ("", Err("must begin with https://")),
        ] {
            assert_eq!(host(url), expected, "{url}");
        }
    }

    #[test]
    fn reference_to_a_secret_names_a_variable_or_a_file_and_nothing_else() {
        let refused =
            "client_secret: a secret does not stand in the settings; say where it is: \"env:NAME\" or \"file:/path\"";
        for secret in ["env:", "file:", "hunter2", "vault:secret/page", "Env:NAME", ""] {
            assert_eq!(wrong("nothing", &format!("client_secret = \"{secret}\"")), refused, "{secret}");
        }
        let text = format!("{WHOLE}\nclient_secret = \"env:PAGE_SECRET\"\nsession_key = \"file:C:/keys/page\"");
        let mut settings: WebSettings = toml::from_str(&text).unwrap();
        settings.find_secrets_from(Path::new("/etc/finops"));
        assert_eq!(settings.client_secret, Some(SecretReference::Variable("PAGE_SECRET".to_owned())));
        assert_eq!(settings.session_key, Some(SecretReference::File("/etc/finops/C:/keys/page".to_owned())));
    }

    #[test]
    fn secret_keeps_what_stands_within_it_and_loses_only_the_line_break_at_its_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_string_lossy().into_owned();
        let read = |text: &str| {
            std::fs::write(file.path(), text).unwrap();
            SecretReference::File(path.clone()).read()
        };
        assert_eq!(read(" a\nb \r\n").as_deref(), Ok(" a\nb "));
        assert_eq!(read(""), Err("is empty".to_owned()));
        std::fs::remove_file(file.path()).unwrap();
        let missing = SecretReference::File(path.clone()).read().unwrap_err();
        assert_eq!(missing, format!("{path}: No such file or directory (os error 2)"));
    }

    #[test]
    fn page_below_a_path_is_refused_and_a_provider_below_one_is_not() {
        let below = "[web] url must end with the host: the page is not served below a path";
        for path in ["/finops", "/finops/", "//finops", "/example.com", "/finops.example.com/"] {
            assert_eq!(wrong("url", &format!("url = \"https://example.com{path}\"")), below, "{path}");
        }
        let text = WHOLE.replace("https://login.example.com/realm", "https://login.example.com/realms/a/v2.0/");
        let settings: WebSettings = toml::from_str(&text).unwrap();
        settings.check().unwrap();
        assert_eq!(settings.issuer, "https://login.example.com/realms/a/v2.0/", "as it names itself");
    }

    #[test]
    fn groups_of_any_role_are_enough_and_a_blank_one_among_them_is_not() {
        for role in ["viewer", "allocator", "closer", "admin"] {
            let text = WHOLE.replace("roles.viewer", &format!("roles.{role}"));
            toml::from_str::<WebSettings>(&text).unwrap().check().unwrap();
            let blank = format!("roles.{role} = [\"finance\", \"\\t\"]");
            assert_eq!(wrong("roles", &blank), "[web.roles] a group has no name");
        }
        assert_eq!(wrong("nothing", "address = \"8765\""), "invalid socket address syntax");
        assert!(
            wrong("nothing", "issuers = []").starts_with("unknown field `issuers`, expected one of `address`, `url`")
        );
    }
}
