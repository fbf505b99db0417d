//! The configuration that supervisors and operators edit: the shipped one is sound and documented, every problem of every file is
//! told at once, nothing is taken loosely.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use jiff::civil::date;
use proptest::prelude::*;
use xixin::app::Place;
use xixin::config::problem::Problems;
use xixin::config::secret::SecretSource;
use xixin::config::{FILES, Loaded, boot_only_changes, load, remarks, shipped_rulebook, write_to};
use xixin::domain::calendar::Certainty;
use xixin::domain::rulebook::Loss;

use crate::support::in_english;
use crate::support::shipped::write_rules;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config");

/// A copy of the shipped settings and rules that a test may change.
struct Copy(tempfile::TempDir);

impl Copy {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_rules(folder.path());
        Self(folder)
    }

    fn dir(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.dir().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn load(&self) -> Result<Loaded, Problems> {
        self.load_with(&[])
    }

    fn load_with(&self, variables: &[(&str, &str)]) -> Result<Loaded, Problems> {
        let environment = variables
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        load(self.dir(), &environment.collect(), &|_, _, _| true)
    }
}

fn lines(problems: &Problems) -> Vec<String> {
    problems.iter().map(in_english).collect()
}

fn shipped(name: &str) -> &'static str {
    FILES.iter().find(|(path, _)| *path == name).unwrap().1
}

#[test]
fn shipped_configuration_has_no_problem() {
    let folder = tempfile::tempdir().unwrap();
    write_to(folder.path()).unwrap();
    let place = Place {
        config: folder.path().to_owned(),
        environment: BTreeMap::new(),
    };
    if let Err(problems) = place.load() {
        panic!("{problems}");
    }
}

#[test]
fn embedded_files_are_the_files_of_the_folder() {
    let mut found = BTreeMap::new();
    collect(Path::new(FOLDER), "", &mut found);
    let embedded: BTreeMap<String, String> = FILES
        .iter()
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect();
    let missing: Vec<_> = found.keys().filter(|path| !embedded.contains_key(*path)).collect();
    assert!(
        missing.is_empty(),
        "add to the list in src/config/shipped.rs: {missing:?}"
    );
    assert_eq!(found, embedded);
}

fn collect(dir: &Path, above: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{above}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{path}/"), found);
        } else {
            found.insert(path, fs::read_to_string(entry.path()).unwrap());
        }
    }
}

#[test]
fn shipped_rules_are_examples_with_a_source() {
    let book = shipped_rulebook();
    for id in [
        "cremation_reissue",
        "cremation_archive",
        "funeral_benefit",
        "file_transfer",
        "contract_keep",
        "ui_apply",
        "medical_gap",
        "labour_correction",
        "labour_decision",
        "labour_review",
        "low_income",
        "licence",
        "hotline_7d",
        "acct_archive",
        "hard_case",
        "callback_default",
        "revisit",
        "agency_chase",
    ] {
        assert!(book.periods.contains_key(id), "{id}");
    }
    for period in book.periods.values() {
        assert!(period.source.starts_with("示例，以当地规定为准"), "{}", period.id);
    }
    assert_eq!(book.periods["ui_apply"].loss, Loss::Soft);
    let clocks: Vec<&str> = book.matters["cremation_certificate"]
        .deadlines
        .iter()
        .map(|id| id.as_str())
        .collect();
    assert_eq!(clocks, ["cremation_reissue", "cremation_archive"]);
    assert!(book.periods["cremation_reissue"].alternative.is_some());
}

#[test]
fn shipped_people_and_contacts_are_invented() {
    let book = shipped_rulebook();
    for office in book.offices.values() {
        assert!(office.phone.starts_with("010-0000"), "{}", office.id);
    }
    for unit in book.org.units.values() {
        assert!(unit.phone.starts_with("010-0000"), "{}", unit.id);
    }
    for staff in book.org.staff.values() {
        assert!(
            staff.mobile.as_ref().is_none_or(|mobile| mobile.starts_with("1390000")),
            "{}",
            staff.id
        );
        assert!(
            staff.email.as_ref().is_none_or(|email| email.ends_with("@example.org")),
            "{}",
            staff.id
        );
    }
}

#[test]
fn shipped_calendar_settles_published_years_and_marks_the_next_provisional() {
    let calendar = shipped_rulebook().calendar;
    for (day, workday, certainty) in [
        (date(2024, 2, 9), true, Certainty::Final),
        (date(2026, 2, 14), true, Certainty::Final),
        (date(2026, 2, 23), false, Certainty::Final),
        (date(2026, 10, 10), true, Certainty::Final),
        (date(2027, 2, 5), false, Certainty::Final),
        (date(2027, 2, 9), true, Certainty::Provisional),
        (date(2021, 12, 31), true, Certainty::Provisional),
    ] {
        assert_eq!(
            (calendar.is_workday(day), calendar.certainty(day)),
            (workday, certainty),
            "{day}"
        );
    }
    assert_eq!(calendar.gaps(), []);
}

#[test]
fn mistakes_in_several_files_are_told_in_one_go() {
    let copy = Copy::new();
    copy.write(
        "xixin.toml",
        "zoone = \"Asia/Shanghai\"\n[http]\nlisten = \"0.0.0.0:80\"\n",
    )
    .write(
        "schedule.toml",
        shipped("schedule.toml").replace("\"callback\"", "\"calback\""),
    )
    .write("calendar/2026.toml", "covers = 2026\n")
    .write("matters/licence.toml", "name = \"licence\"\n")
    .write("people.toml", "[unit.a]\nkind = \"hall\"\n")
    .write("periods.toml", "[period.a\n")
    .write(
        "agencies.toml",
        shipped("agencies.toml").replace("\"09:00-13:00\"", "\"13:00-09:00\""),
    );
    let problems = copy.load().unwrap_err();
    let files: BTreeSet<&str> = problems.iter().map(|problem| problem.file.as_str()).collect();
    let expected = [
        "agencies.toml",
        "calendar/2026.toml",
        // The keeper of the notes is nobody of these people.
        "knowledge.toml",
        "matters/licence.toml",
        "people.toml",
        "periods.toml",
        // It names people who have gone with people.toml.
        "rota.toml",
        "schedule.toml",
        "xixin.toml",
    ];
    assert_eq!(files, BTreeSet::from(expected), "{problems}");
    let said = lines(&problems);
    for line in [
        "xixin.toml:1:1: zoone: unknown key; did you mean \"zone\"? allowed: zone, state_dir, database, postgres, node, personal_data, http, inbound, api, mail, sms, heartbeat, alarm, retention, reload, log",
        "xixin.toml:3:1: http.listen: 0.0.0.0 is not a loopback address; allowed: 127.0.0.1:PORT or [::1]:PORT; put a reverse \
         proxy in front for others",
        "calendar/2026.toml:1:1: the key \"source\" is missing; add source = …",
        "people.toml:2:1: unit.a.kind: \"hall\" is not known; allowed: district, centre, window",
        "people.toml:1:7: unit.a: the key \"phone\" is missing; add phone = …",
    ] {
        assert!(said.iter().any(|said| said == line), "{line} is not among\n{problems}");
    }
    // Names in files that could not be read are not complained of elsewhere.
    assert!(
        !said.iter().any(|line| line.contains("there is no period")),
        "{problems}"
    );
}

#[test]
fn byte_order_mark_and_windows_line_ends_are_accepted() {
    let copy = Copy::new();
    for (name, text) in FILES.iter().filter(|(name, _)| name.ends_with(".toml")) {
        copy.write(name, format!("\u{feff}{}", text.replace('\n', "\r\n")));
    }
    if let Err(problems) = copy.load() {
        panic!("{problems}");
    }
}

#[test]
fn places_are_counted_in_characters_and_lines_of_any_kind() {
    let copy = Copy::new();
    copy.write(
        "xixin.toml",
        "\u{feff}# 悉心\r\nmail = { from_name = \"悉心听\", form = 1 }\r\n",
    );
    let problems = copy.load().unwrap_err();
    assert!(
        lines(&problems)[0].starts_with("xixin.toml:2:29: mail.form: unknown key; did you mean \"from\"?"),
        "{problems}"
    );
}

#[test]
fn later_layers_override_earlier_ones() {
    let copy = Copy::new();
    copy.write(
        "xixin.toml",
        "[mail]\nfrom_name = \"first\"\nreply_to = \"first@example.org\"\n[mail.smtp]\nport = 26\n",
    )
    .write("conf.d/20-more.toml", "[mail]\nfrom_name = \"third\"\n")
    .write(
        "conf.d/10-some.toml",
        "[mail]\nfrom_name = \"second\"\n[mail.smtp]\nport = 27\n",
    )
    .write("conf.d/notes.txt", "not read");
    let variables = [
        ("XIXIN__MAIL__SMTP__CONNECTIONS", "7"),
        ("XIXIN__MAIL__SMTP__HELLO", "0010"),
        ("XIXIN__RELOAD__WATCH", "true"),
        ("XIXIN_CONFIG", "/etc/xixin"),
        ("STATE_DIRECTORY", "/srv/xixin"),
    ];
    let settings = copy.load_with(&variables).unwrap().settings;
    assert_eq!(settings.mail.from_name, "third");
    assert_eq!(settings.mail.reply_to.as_deref(), Some("first@example.org"));
    assert_eq!((settings.mail.smtp.port, settings.mail.smtp.connections), (27, 7));
    assert_eq!(settings.mail.smtp.hello.as_deref(), Some("0010"));
    assert!(settings.reload.watch);
    assert_eq!(settings.state_dir, Path::new("/srv/xixin"));
}

#[test]
fn gateway_split_over_files_keeps_the_case_of_its_names() {
    let copy = Copy::new();
    copy.write(
        "conf.d/10-gateway.toml",
        "[sms.http]\nmethod = \"POST\"\nurl = \"https://sms.example.org\"\nheaders = { \"Content-Type\" = \"text/plain\" }\n\
         success = { status = [200], pointer = \"/code\", equals = \"OK\" }\nerrors = { \"E1001\" = \"message\" }\n\
         secrets = { appKey = { credential = \"sms-key\" } }\nconnections = 8\ntimeout_s = 30\n",
    )
    .write("conf.d/20-gateway.toml", "[sms.http]\ntimeout_s = 5\n");
    let gateway = copy
        .load()
        .map_err(|problems| problems.to_string())
        .unwrap()
        .settings
        .sms
        .http
        .unwrap();
    assert_eq!(gateway.timeout_s, 5);
    assert_eq!(gateway.headers.keys().collect::<Vec<_>>(), ["Content-Type"]);
    assert_eq!(gateway.errors.keys().collect::<Vec<_>>(), ["E1001"]);
    assert_eq!(
        gateway.secrets["appKey"],
        SecretSource::Credential("sms-key".to_owned())
    );
}

#[test]
fn what_is_needed_only_at_a_start_is_refused_at_a_reload_by_name() {
    let copy = Copy::new();
    let before = copy.load().unwrap().settings;
    copy.write(
        "conf.d/10-new.toml",
        "zone = \"Asia/Urumqi\"\nstate_dir = \"/srv\"\ndatabase = \"sqlite:other.db\"\n[http]\nlisten = \"127.0.0.1:1\"\n\
         [reload]\nwatch = true\n[log]\nformat = \"json\"\nfilter = \"debug\"\n[mail]\nfrom_name = \"may change\"\n",
    );
    let after = copy.load().unwrap();
    let refused: Vec<String> = boot_only_changes(&before, &after).iter().map(in_english).collect();
    let line = |at: &str, key: &str| {
        format!(
            "conf.d/10-new.toml:{at}: {key}: it takes effect only at a start; restart xixin, or take the change back"
        )
    };
    let expected = [
        line("1:1", "zone"),
        line("2:1", "state_dir"),
        line("3:1", "database"),
        line("5:1", "http.listen"),
        line("7:1", "reload.watch"),
        line("9:1", "log.format"),
        line("10:1", "log.filter"),
    ];
    assert_eq!(refused, expected);
    assert_eq!(boot_only_changes(&after.settings, &after), []);
}

#[test]
fn secrets_appear_neither_in_problems_nor_in_debug() {
    let copy = Copy::new();
    for text in [
        "\"hunter2\"",
        "hunter2",
        "[\"hunter2\"]",
        "{ credentail = \"hunter2\" }",
        "2.5e7",
        "25000000",
    ] {
        copy.write(
            "conf.d/10.toml",
            format!("[mail.smtp]\nuser = \"tixing\"\npassword = {text}\n"),
        );
        let told = copy.load().unwrap_err();
        for form in [
            told.to_string(),
            format!("{told:?}"),
            serde_json::to_string(&told.into_vec()).unwrap(),
        ] {
            assert!(!form.contains("hunter2") && !form.contains("2500000"), "{form}");
        }
    }
    copy.write("secret", "hunter2\n");
    let file = copy.dir().join("secret");
    let text = format!(
        "[mail.smtp]\nuser = \"tixing\"\npassword = {{ file = \"{}\" }}\n",
        file.display()
    );
    let settings = copy.write("conf.d/10.toml", text).load().unwrap().settings;
    assert!(!format!("{settings:?}").contains("hunter2"));
    let secret = settings.mail.smtp.password.unwrap().read(None).unwrap();
    assert!(!format!("{secret:?}").contains("hunter2"));
}

#[test]
fn what_is_no_ordinary_file_of_a_sane_size_is_refused_without_reading_it() {
    let copy = Copy::new();
    let huge = format!("# {}\n", "x".repeat(2 * 1024 * 1024));
    copy.write("schedule.toml", &huge);
    fs::remove_file(copy.dir().join("people.toml")).unwrap();
    let _socket = UnixListener::bind(copy.dir().join("people.toml")).unwrap();
    let problems = copy.load().unwrap_err();
    let expected = [
        "people.toml:1:1: it is no ordinary file; a file is needed here".to_owned(),
        format!(
            "schedule.toml:1:1: it is {} bytes long; allowed: up to 1 MiB",
            huge.len()
        ),
    ];
    assert_eq!(lines(&problems), expected);
}

#[test]
fn file_full_of_mistakes_is_told_of_soon_and_in_part() {
    let copy = Copy::new();
    let text: String = (0..20_000).map(|n| format!("[staff.s{n}]\nname = {n}\n")).collect();
    let problems = copy.write("people.toml", text).load().unwrap_err();
    assert!(
        (40..=60).contains(&problems.iter().count()),
        "{}",
        problems.iter().count()
    );
}

#[test]
fn missing_directory_is_told_with_what_to_do() {
    let problems = load(Path::new("/nowhere/xixin"), &BTreeMap::new(), &|_, _, _| true).unwrap_err();
    let told = "/nowhere/xixin:1:1: 没有这个配置目录;请用 --config 或 XIXIN_CONFIG 指明";
    assert!(problems.to_string().starts_with(told), "{problems}");
}

#[test]
fn texts_that_are_missing_are_told_where_the_rung_names_them() {
    let copy = Copy::new();
    let has = |text: &xixin::domain::ids::TextId, way, _| {
        text.as_str() != "verify_date" && (text.as_str(), way) != ("appointment", xixin::domain::ladder::Way::Sms)
    };
    let problems = load(copy.dir(), &BTreeMap::new(), &has).unwrap_err();
    let said = lines(&problems);
    assert!(
        said.iter().all(
            |line| line.contains("there is no text \"verify_date\" for owner by email")
                || line.contains("there is no text \"appointment\" for ") && line.contains(" by sms")
        ),
        "{problems}"
    );
    let rungs = shipped("ladders.toml").matches("text = \"verify_date\"").count();
    assert_eq!(
        said.iter().filter(|line| line.contains("verify_date\" for")).count(),
        rungs
    );
}

#[test]
fn fingerprint_follows_the_rules_and_texts_but_not_the_settings() {
    let copy = Copy::new();
    let first = copy.load().unwrap().fingerprint;
    copy.write("conf.d/10.toml", "[mail]\nfrom_name = \"other\"\n");
    assert_eq!(copy.load().unwrap().fingerprint, first);
    let mut seen = BTreeSet::from([first]);
    for (name, text) in [
        (
            "schedule.toml",
            shipped("schedule.toml").replace("\"08:30\"", "\"08:00\""),
        ),
        (
            "matters/hard_case.toml",
            format!("{}\n", shipped("matters/hard_case.toml")),
        ),
        ("templates/zh-CN/sample/sms.txt", "a".to_owned()),
        ("templates/en/sample/sms.txt", "a".to_owned()),
        ("calendar/2022.toml", format!("{}\n", shipped("calendar/2022.toml"))),
    ] {
        copy.write(name, text);
        assert!(seen.insert(copy.load().unwrap().fingerprint), "{name}");
    }
}

#[test]
fn remarks_tell_what_will_soon_be_missing() {
    let copy = Copy::new();
    let text = |loaded: &Loaded, today| {
        remarks(loaded, today)
            .iter()
            .map(|said| said.en.clone())
            .collect::<Vec<_>>()
            .join("\n")
    };
    let loaded = copy.load_with(&[("XIXIN_MAIL__FROM", "x")]).unwrap();
    assert!(!text(&loaded, date(2026, 3, 1)).contains("the calendar"));
    assert!(text(&loaded, date(2026, 12, 1)).contains("the calendar ends on 2026-12-31"));
    assert!(text(&loaded, date(2026, 12, 1)).contains("XIXIN_MAIL__FROM has no effect"));
    assert!(text(&loaded, date(2026, 12, 1)).contains("no e-mail leaves"));
    fs::remove_file(copy.dir().join("calendar/2024.toml")).unwrap();
    let loaded = copy.load().unwrap();
    assert!(text(&loaded, date(2026, 3, 1)).contains("a gap after 2023-12-31 and before 2025-01-01"));
}

#[test]
fn check_prints_every_problem_and_exits_78_or_says_what_was_read() {
    let check = |dir: &Path, more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_xixin"))
            .arg("check")
            .arg(dir)
            .args(more)
            .env_clear()
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let copy = Copy::new();
    write_to(copy.dir()).unwrap();
    let (code, said) = check(copy.dir(), &["--now", "2026-03-01T00:00:00Z"]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("the configuration is sound") && said.contains("2022-01-01..2026-12-31"),
        "{said}"
    );
    let (code, said) = check(copy.dir(), &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (code, &json["ok"], &json["counts"]["periods"]),
        (0, &true.into(), &23.into()),
        "{said}"
    );

    copy.write(
        "schedule.toml",
        shipped("schedule.toml").replace("at = \"08:30\"", "att = \"08:30\""),
    );
    let (code, said) = check(copy.dir(), &[]);
    assert_eq!(code, 78);
    assert!(
        said.contains(
            "schedule.toml:6:1: digest.att: 没有这个键;是不是“at”? 可用: at, when_empty / unknown key; did you mean \"at\"? allowed: at, when_empty\n"
        ),
        "{said}"
    );
    assert!(said.ends_with("1 problems in the configuration\n"), "{said}");
    let (code, said) = check(copy.dir(), &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    let problem = &json["problems"][0];
    assert_eq!((code, &json["ok"]), (78, &false.into()));
    assert_eq!(
        (&problem["file"], &problem["line"], &problem["key"]),
        (&"schedule.toml".into(), &6.into(), &"digest.att".into())
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever a person does to a file, the answer is a list of problems inside that file, or a sound configuration.
    #[test]
    fn damaged_files_never_stop_the_check(
        file in prop::sample::select(FILES.iter().filter(|(name, _)| name.ends_with(".toml")).collect::<Vec<_>>()),
        at in any::<prop::sample::Index>(),
        length in 0..60usize,
        put in prop::sample::select(vec!["", "\"", "= ", "[x]\n", "\n", "1", "true", "{ a = 1 }", "[[", "# ", "💐", "\u{0}"]),
    ) {
        let (name, text) = *file;
        let letters: Vec<char> = text.chars().collect();
        let from = at.index(letters.len());
        let to = (from + length).min(letters.len());
        let damaged: String = letters[..from].iter().copied().chain(put.chars()).chain(letters[to..].iter().copied()).collect();
        let copy = Copy::new();
        copy.write(name, &damaged);
        if let Err(problems) = copy.load() {
            prop_assert!(problems.iter().count() > 0);
            for problem in problems.iter().filter(|problem| problem.file == name) {
                prop_assert!(problem.line >= 1 && problem.line <= damaged.matches('\n').count() + 1, "{problem}");
            }
        }
    }
}
