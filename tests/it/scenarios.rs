//! The stories heard at the window, one file each in tests/scenarios/, played through everything under a clock that stands still.

use std::collections::BTreeSet;
use std::fs;

use crate::support::scenario::{play, refusal};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios");

/// One test for each file: `s20_urgency` plays `s20-urgency.toml`.
macro_rules! stories {
    ($($story:ident,)*) => {
        const STORIES: &[&str] = &[$(stringify!($story),)*];

        $(
            #[test]
            fn $story() {
                crate::support::hall::on_sqlite(|| tell(stringify!($story)));
            }
        )*

        /// The same once more.
        mod postgres {
            $(
                #[test]
                fn $story() {
                    crate::support::hall::on_postgres(|| super::tell(stringify!($story)));
                }
            )*
        }
    };
}

fn tell(story: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(play(&story.replace('_', "-")));
}

stories![
    s01_web_form,
    s02_three_centres,
    s03_enterprise,
    s04_obstacles,
    s05_rota,
    s06_referral,
    s07_roles,
    s08_channels,
    s09_phone_first,
    s10_daughter,
    s11_issuers,
    s12_missing,
    s13_earlier_refusals,
    s14_knowledge,
    s15_chaser,
    s16_hops,
    s17_fact_found,
    s18_estimated,
    s19_spring_festival,
    s20_urgency,
    s21_notice_sheet,
    s22_search_trail,
    s23_sub_request,
    s24_mail,
    s25_bundle,
    s26_priority,
    s27_no_trips,
    s28_one_time_notice,
    s29_paper_states,
    s30_promise,
    s31_hand_over,
    s32_asks_again,
    s33_contacts,
    s34_listening,
    s35_escort,
    s36_incident,
    s37_in_person,
    s38_external_appointment,
    s39_home_again,
    s40_thanks,
    s41_what_else,
    s42_five_steps,
    s43_two_approvals,
    s44_ninety_nine,
    s45_insurance_gap,
    s46_expedite,
    s47_silent,
    s48_watch,
    s49_greetings,
    s49_no_greetings,
    s50_out_of_scope,
    s51_not_ours,
    s52_no_easy_no,
    s53_explained,
    s54_escalation,
    s55_load,
    s56_closed,
    s57_absolute_dates,
    s58_bereaved,
];

#[test]
fn every_file_is_played() {
    let names = fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path());
    let files: BTreeSet<String> = names
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().replace('-', "_"))
        .collect();
    let played: BTreeSet<String> = STORIES.iter().map(ToString::to_string).collect();
    assert_eq!(files, played, "add the file to the list of stories!");
}

#[test]
fn every_story_of_the_window_has_a_file() {
    let told = |n: &u32| STORIES.iter().any(|file| file.starts_with(&format!("s{n:02}_")));
    let missing: Vec<u32> = (1..=58).filter(|n| !told(n)).collect();
    assert!(missing.is_empty(), "no file tells the stories {missing:?}");
}

#[test]
fn a_mistake_in_a_story_is_told_with_file_and_line() {
    const HEAD: &str =
        "story = \"S20\"\nsaid = \"快\"\nrule = { zh = \"快\", en = \"soon\" }\nstart = \"2026-02-10 09:00\"\n";
    const TIMELINE: &str = "[timeline]\nuntil = \"2026-02-12 12:00\"\ndecisions = ''''''\n";
    const EXPECTED: &str = "[[digest]]\nof = \"lin\"\nday = \"2026-02-11\"\n";
    let table = [
        ("[[act]]\nwhen = \"2026-02-11 09:00\"\n", "6: unknown field `when`"),
        ("", "1: nothing is expected"),
        (
            "[[digest]]\nof = \"lin\"\nday = \"tomorrow\"\n",
            "5: \"tomorrow\" is no time",
        ),
        (
            "[[digest]]\nof = \"lin\"\nday = \"2026-02-11\"\n[[message]]\nat = \"2026-02-10 10:00\"\nto = \"lin\"\nhas = []\n",
            "8: an earlier time",
        ),
        (
            "[[digest]]\nof = \"lin\"\nday = \"2026-02-13\"\n",
            "1: timeline.until lies before",
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    let told = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        refusal(&path)
    };
    assert_eq!(told("s20-good.toml", &format!("{HEAD}{EXPECTED}{TIMELINE}")), "");
    for (entries, expected) in table {
        let said = told("s20-bad.toml", &format!("{HEAD}{entries}{TIMELINE}"));
        assert!(
            said.starts_with(&format!("tests/scenarios/s20-bad.toml:{expected}")),
            "{said}"
        );
    }
    let said = told("s19-bad.toml", &format!("{HEAD}{EXPECTED}{TIMELINE}"));
    assert!(
        said.starts_with("tests/scenarios/s19-bad.toml:1: the name of the file"),
        "{said}"
    );
}
