//! Taking cases over: every form of file, everything that is wrong with one, and that nothing is ever sent for the past.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rust_xlsxwriter::{Format, Formula, Workbook, Worksheet};
use serde_json::Value;
use tempfile::TempDir;
use xixin::domain::command::NewCase;
use xixin::domain::ids::StaffId;
use xixin::engine::alike::Likeness;
use xixin::engine::desk::{Desk, DeskError};
use xixin::import::{Assignment, Found, ImportError, Limits, Order, read};

use super::support::hall::Hall;
use super::support::rulebook::{at, rulebook};

const NOW: &str = "2026-03-02 09:00";

struct Bench {
    dir: TempDir,
    order: Order,
}

impl Bench {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let order = Order {
            path,
            sheet: None,
            assigned: Vec::new(),
            limits: Limits::default(),
        };
        Self { dir, order }
    }

    fn map(mut self, assigned: &[&str]) -> Self {
        self.order.assigned = assigned
            .iter()
            .map(|text| text.parse::<Assignment>().unwrap())
            .collect();
        self
    }

    fn read(&self) -> Result<Found, ImportError> {
        read(&self.order, &rulebook(), at(NOW))
    }

    fn cases(&self) -> Vec<NewCase> {
        let found = self.read().unwrap();
        assert_eq!(found.problems.kept(), [], "{:?}", self.dir);
        found.taken.into_iter().map(|taken| taken.case).collect()
    }

    /// The cells of all problems and what is wrong with them.
    fn problems(&self) -> Vec<String> {
        let found = self.read().unwrap();
        let problems = found.problems.kept().iter();
        problems
            .map(|problem| format!("{} {}: {}", problem.cell, problem.header, problem.what.en))
            .collect()
    }

    fn refusal(&self) -> String {
        self.read().expect_err("the file must be refused").to_string()
    }
}

fn csv(text: &str) -> Bench {
    Bench::new("cases.csv", text.as_bytes())
}

const SHEN: &str = "姓名,电话,事项,诉求,起算日\n沈小兰,13900001234,cremation,补办证明,2016-12-20\n";

#[test]
fn every_encoding_and_separator_yields_the_same_cases() {
    let expected = csv(SHEN).cases();
    assert_eq!(expected.len(), 1);
    assert_eq!(expected[0].resident.name, "沈小兰");
    assert_eq!(
        expected[0].deadlines[0].trigger.as_ref().unwrap().to_string(),
        "2016-12-20"
    );
    let utf16: Vec<u8> = [0xfe, 0xff]
        .into_iter()
        .chain(SHEN.encode_utf16().flat_map(u16::to_be_bytes))
        .collect();
    let forms: Vec<(&str, Vec<u8>)> = vec![
        ("with a mark", [b"\xef\xbb\xbf", SHEN.as_bytes()].concat()),
        ("GB18030", encoding_rs::GB18030.encode(SHEN).0.into_owned()),
        ("UTF-16", utf16),
        ("semicolons", SHEN.replace(',', ";").into_bytes()),
        ("tabs", SHEN.replace(',', "\t").into_bytes()),
        ("Windows line ends", SHEN.replace('\n', "\r\n").into_bytes()),
        ("old Mac line ends", SHEN.replace('\n', "\r").into_bytes()),
        (
            "quoted",
            format!("\"{}\"\n", SHEN.trim().replace(',', "\",\"").replace('\n', "\"\n\"")).into_bytes(),
        ),
        ("a title above", format!("2026年登记表,,,,\n\n{SHEN}").into_bytes()),
        (
            "English",
            SHEN.replace("姓名,电话,事项,诉求,起算日", "Name,Phone,Matter,Request,Trigger")
                .into_bytes(),
        ),
        (
            "full-width",
            SHEN.replace("13900001234", "１３９　００００－１２３４").into_bytes(),
        ),
        (
            "a number that lost its format",
            SHEN.replace("13900001234", "13900001234.0").into_bytes(),
        ),
        (
            "a forced text",
            SHEN.replace("13900001234", "\"=\"\"13900001234\"\"\"").into_bytes(),
        ),
        ("by name", SHEN.replace("cremation", "cremation事项").into_bytes()),
    ];
    for (form, bytes) in forms {
        let mut cases = Bench::new("cases.csv", &bytes).cases();
        let phone = cases[0].resident.phone.as_deref();
        assert_eq!(phone, Some("13900001234"), "{form}");
        cases[0].resident.phone = expected[0].resident.phone.clone();
        assert_eq!(cases, expected, "{form}");
    }
    for day in [
        "2016/12/20",
        "2016.12.20",
        "2016年12月20日",
        "20161220",
        "42724",
        "２０１６年１２月２０日",
    ] {
        assert_eq!(csv(&SHEN.replace("2016-12-20", day)).cases(), expected, "{day}");
    }
}

fn workbook(fill: impl FnOnce(&mut Workbook)) -> Bench {
    let mut book = Workbook::new();
    fill(&mut book);
    Bench::new("cases.xlsx", &book.save_to_buffer().unwrap())
}

fn header(sheet: &mut Worksheet) {
    for (column, title) in ["姓名", "电话", "事项", "诉求", "起算日"].iter().enumerate() {
        sheet.write(0, u16::try_from(column).unwrap(), *title).unwrap();
    }
}

fn row(sheet: &mut Worksheet, row: u32, name: &str) {
    sheet.write(row, 0, name).unwrap();
    sheet.write(row, 1, 13_900_001_234_i64).unwrap();
    sheet.write(row, 2, "cremation").unwrap();
    sheet.write(row, 3, "补办证明").unwrap();
    let date = rust_xlsxwriter::ExcelDateTime::from_ymd(2016, 12, 20).unwrap();
    sheet
        .write_with_format(row, 4, &date, &Format::new().set_num_format("yyyy/m/d"))
        .unwrap();
}

#[test]
fn a_workbook_yields_what_a_text_file_does() {
    let expected = csv(SHEN).cases();
    let cases = workbook(|book| {
        let sheet = book.add_worksheet();
        header(sheet);
        row(sheet, 1, "沈小兰");
    })
    .cases();
    assert_eq!(cases, expected, "a numeric phone and a real date");

    let by_serial = workbook(|book| {
        let sheet = book.add_worksheet();
        header(sheet);
        row(sheet, 3, "沈小兰");
        sheet.write(3, 4, 42_724).unwrap();
    });
    assert_eq!(
        by_serial.cases(),
        expected,
        "a serial number without a date format, below blank rows"
    );
    assert_eq!(by_serial.read().unwrap().taken[0].row, 4);
}

#[test]
fn the_first_visible_sheet_is_read_unless_another_is_named() {
    let mut bench = workbook(|book| {
        book.add_worksheet().set_name("隐藏").unwrap().set_hidden(true);
        let first = book.add_worksheet().set_name("第一").unwrap();
        header(first);
        row(first, 1, "沈小兰");
        first.set_active(true);
        let second = book.add_worksheet().set_name("第二").unwrap();
        header(second);
        row(second, 1, "李四");
    });
    let found = bench.read().unwrap();
    assert_eq!((found.sheet.as_deref(), found.taken.len()), (Some("第一"), 1));
    assert!(
        found.notes.iter().any(|note| note.en.contains("第二")),
        "{:?}",
        found.notes
    );
    for wanted in ["第二", "3"] {
        bench.order.sheet = Some(wanted.to_owned());
        assert_eq!(bench.cases()[0].resident.name, "李四");
    }
    for (wanted, words) in [
        ("9", "隐藏, 第一, 第二"),
        ("0", "隐藏"),
        ("第四", "there is no sheet \"第四\""),
    ] {
        bench.order.sheet = Some(wanted.to_owned());
        assert!(bench.refusal().contains(words));
    }
    let mut text = csv(SHEN);
    text.order.sheet = Some("1".to_owned());
    assert!(text.refusal().contains("leave --sheet out"));
}

#[test]
fn cells_that_are_merged_wrong_or_uncalculated_are_named() {
    let bench = workbook(|book| {
        let sheet = book.add_worksheet();
        header(sheet);
        for (index, name) in ["甲", "乙", "丙", "丁"].into_iter().enumerate() {
            row(sheet, u32::try_from(index + 1).unwrap(), name);
        }
        sheet.merge_range(1, 2, 2, 2, "cremation", &Format::new()).unwrap();
        sheet
            .write_formula(3, 3, Formula::new("=\"补\"&\"办\"").set_result("补办"))
            .unwrap();
        sheet
            .write_formula(3, 4, Formula::new("=A1+B1").set_result("#VALUE!"))
            .unwrap();
        sheet.write_formula(4, 0, Formula::new("=B9").set_result("")).unwrap();
    });
    let problems = bench.problems();
    assert!(
        problems.contains(&"C2:C3 事项: the cells are merged".to_owned()),
        "{problems:#?}"
    );
    assert!(problems.contains(&"C3 事项: it is empty".to_owned()), "{problems:#?}");
    assert!(
        problems.contains(&"E4 起算日: it is the error #VALUE!".to_owned()),
        "{problems:#?}"
    );
    // A program that calculates nothing saves 0 for every formula.
    assert!(problems.contains(&"A5 姓名: it is no name".to_owned()), "{problems:#?}");
    assert_eq!(problems.len(), 4);
    let found = bench.read().unwrap();
    assert!(
        found.notes.iter().any(|note| note.en.contains("formulas")),
        "{:?}",
        found.notes
    );
}

#[test]
fn every_bad_cell_is_reported_with_its_place_and_the_fix() {
    let bench = csv(
        "姓名,电话,事项,诉求,起算日,出生年份,经办人,家属,家属同意,预约时间,预约事项,预约单位,回电日期\n\
         ,1.39E+10,crematoin,,12/20/2016,1800,nobody,沈晓,maybe,2026-04-01,交材料,,2026-03-09\n\
         沈小兰,13900001234,cremation,补办,2016-12-20,1950,li,,,,,,\n\
         \u{202e}沈,13900001234/13900005678,cremation,补办,2016-02-30,1950年,李敏,沈晓,是,2026-04-01 9:30,交材料,nowhere,0001-01-01\n",
    );
    let expected = [
        "A2 姓名: it is empty",
        "B2 电话: Excel has shortened the number",
        "C2 事项: the configuration knows no \"crematoin\"",
        "D2 诉求: it is empty",
        "E2 起算日: in \"12/20/2016\" month and day could be either",
        "F2 出生年份: the year of birth 1800 cannot be right",
        "G2 经办人: the configuration knows no \"nobody\"",
        "I2 家属同意: there is no value \"maybe\"",
        "J2 预约时间: it does not say at what time",
        "L2 预约单位: it is empty",
        "第2行 / row 2 关系: it is empty",
        "第2行 / row 2 承诺: it is empty",
        "A4 姓名: character 1 changes the direction of writing",
        "B4 电话: there is more than one number",
        "E4 起算日: there is no such day as \"2016-02-30\"",
        "L4 预约单位: the configuration knows no \"nowhere\"",
        "M4 回电日期: the year 1 cannot be right",
        "第4行 / row 4 关系: it is empty",
        "第4行 / row 4 承诺: it is empty",
    ];
    assert_eq!(bench.problems(), expected);
    let found = bench.read().unwrap();
    assert!(found.problems.kept()[2].fix.en.contains("did you mean \"cremation\"?"));
    assert_eq!(found.taken.len(), 1, "the good row is still read");
    for problem in found.problems.kept() {
        assert!(!problem.fix.zh.is_empty() && !problem.fix.en.is_empty(), "{problem}");
        assert!(
            !problem.to_string().contains("13900001234"),
            "numbers of residents are not repeated"
        );
    }
}

#[test]
fn all_problems_are_counted_and_the_first_are_kept() {
    let rows: String = (0..500).map(|_| "沈小兰,139,cremation,补办\n").collect();
    let found = csv(&format!("姓名,电话,事项,诉求\n{rows}")).read().unwrap();
    assert_eq!((found.problems.count(), found.problems.kept().len()), (500, 200));
    assert_eq!(found.problems.kept()[199].cell, "B201");
}

#[test]
fn columns_can_be_named_by_hand_and_wrong_names_are_explained() {
    let text = "客户,联系,办什么,说明,日子\n沈小兰,13900001234,cremation,补办证明,2016-12-20\n";
    let maps = [
        "resident.name=客户",
        "resident.phone=B",
        "matter=办什么",
        "request=D",
        "trigger.cremation_reissue=日子",
    ];
    let cases = csv(text).map(&maps).cases();
    assert_eq!(cases, csv(SHEN).cases());

    assert!(
        csv(text).refusal().contains("客户, 联系"),
        "the header that was found is shown"
    );
    for (maps, words) in [
        (vec!["resident.nmae=A"], "(resident.name?)"),
        (vec!["resident.name=Z"], "the header has no such column; it has: 客户"),
        (vec!["resident.name=A", "request=D"], "lacks 事项 (matter)"),
        (vec!["trigger.nothing=A"], "trigger.cremation_reissue"),
        (vec!["resident.name=A", "name=B"], "both look like resident.name"),
    ] {
        let refusal = csv(text).map(&maps).refusal();
        assert!(refusal.contains(words), "{maps:?}: {refusal}");
    }
    let twice = "姓名,手机,联系电话,事项,诉求\n沈小兰,13900001234,13900005678,cremation,补办\n";
    let refusal = csv(twice).refusal();
    assert!(
        refusal.contains("B “手机” and C “联系电话” both look like resident.phone"),
        "{refusal}"
    );
    let chosen = csv(twice).map(&["resident.phone=联系电话"]).cases();
    assert_eq!(chosen[0].resident.phone.as_deref(), Some("13900005678"));
}

#[test]
fn a_header_alone_or_a_single_row_is_no_mistake_and_an_empty_file_is() {
    assert_eq!(csv("姓名,电话,事项,诉求\n").cases(), []);
    assert!(csv("").refusal().contains("the file is empty"));
    assert!(csv("\u{feff} \r\n\n").refusal().contains("the file is empty"));
    assert!(
        workbook(|book| {
            book.add_worksheet();
        })
        .refusal()
        .contains("the file is empty")
    );
}

#[test]
fn what_is_no_table_is_refused_by_what_it_is_whatever_its_name() {
    let pdf: &[u8] = b"%PDF-1.7\n";
    for (name, bytes, words) in [
        (
            "a.csv",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".as_slice(),
            "old Excel file",
        ),
        ("a.xlsx", pdf, "PDF"),
        ("a.xls", b"  <html><table><tr><td>a</td></tr></table>", "a web page"),
        ("a.csv", b"<?xml version=\"1.0\"?>", "XML"),
        (
            "a.xlsx",
            b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            "empty or damaged archive",
        ),
        ("a.xlsx", b"PK\x03\x04 but no more", "damaged or no Excel workbook"),
        (
            "a.csv",
            b"name,phone\n\xff\xff\xff\n",
            "neither UTF-8 (wrong from row 2, byte 12) nor GB18030",
        ),
        (
            "a.csv",
            "姓名,电话,事项,诉求\n\"沈小兰,1,2,3\n李四,1,2,3\n".as_bytes(),
            "row 2 (line 2 of the file) is never closed",
        ),
        (
            "a.csv",
            "姓名,电话,事项,诉求\n\"沈小兰,1,2,3\n\"李四\",1,2,3\n".as_bytes(),
            "text after a closing quotation mark",
        ),
    ] {
        let refusal = Bench::new(name, bytes).refusal();
        assert!(refusal.contains(words), "{name}: {refusal}");
    }
    let misnamed = workbook(|book| {
        let sheet = book.add_worksheet();
        header(sheet);
        row(sheet, 1, "沈小兰");
    });
    let bytes = std::fs::read(&misnamed.order.path).unwrap();
    assert_eq!(Bench::new("a.csv", &bytes).cases(), csv(SHEN).cases());
    assert_eq!(Bench::new("a.xlsx", SHEN.as_bytes()).cases(), csv(SHEN).cases());

    let missing = Bench::new("a.csv", b"");
    std::fs::remove_file(&missing.order.path).unwrap();
    assert!(missing.refusal().contains("cannot be read"));
    let mut folder = csv("");
    folder.order.path = folder.dir.path().to_owned();
    assert!(folder.refusal().contains("cannot be read"));
}

#[test]
fn a_row_with_more_cells_than_the_header_is_not_guessed_at() {
    let bench =
        csv("姓名,电话,事项,诉求\n沈小兰,13900001234,cremation,补办证明,很急\n李四,13900001234,cremation,补办,,\n");
    assert_eq!(bench.problems(), ["E2 : the row has more columns than the header"]);
    assert_eq!(
        bench.read().unwrap().taken.len(),
        1,
        "blank cells at the end say nothing"
    );
}

/// A container with one part beside the least that a workbook needs.
fn container(part: &str, content: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    let parts: [(&str, &[u8]); 4] = [
        ("_rels/.rels", br#"<Relationships><Relationship Type="x/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#),
        ("xl/workbook.xml", br#"<workbook><sheets><sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>"#),
        ("xl/_rels/workbook.xml.rels", br#"<Relationships><Relationship Id="r1" Type="x/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#),
        (part, content),
    ];
    for (name, content) in parts {
        zip.start_file(name, options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn a_decompression_bomb_is_refused_before_anything_is_read() {
    let zeros = vec![b' '; 3 * 1024 * 1024];
    let honest = container("xl/worksheets/sheet1.xml", &zeros);
    // The directory says that the part is small; unpacking it says otherwise.
    let mut lying = honest.clone();
    let size = u32::try_from(zeros.len()).unwrap().to_le_bytes();
    while let Some(at) = lying.windows(4).position(|window| window == size) {
        lying[at..at + 4].copy_from_slice(&1000_u32.to_le_bytes());
    }
    for bytes in [honest, lying] {
        assert!(bytes.len() < 8 * 1024);
        let mut bench = Bench::new("bomb.xlsx", &bytes);
        bench.order.limits.unpacked_bytes = 1024 * 1024;
        let refusal = bench.refusal();
        let refused = refusal.contains("decompression bomb") || refusal.contains("damaged");
        assert!(refused && refusal.contains("xl/worksheets/sheet1.xml"), "{refusal}");
    }
    let shared = container("xl/sharedStrings.xml", &zeros);
    let mut bench = Bench::new("bomb.xlsx", &shared);
    bench.order.limits.shared_bytes = 1024 * 1024;
    assert!(bench.refusal().contains("sharedstrings.xml"));

    let claim = br#"<sst uniqueCount="4000000000000"><si><t>x</t></si></sst>"#;
    let refusal = Bench::new("claim.xlsx", &container("xl/sharedStrings.xml", claim)).refusal();
    assert!(refusal.contains("claims more than it can hold"), "{refusal}");
}

#[test]
fn a_formula_counts_by_its_value_and_one_without_is_named() {
    let text = |cell: &str, text: &str| format!(r#"<c r="{cell}" t="inlineStr"><is><t>{text}</t></is></c>"#);
    let row = |row: u32, cells: String| format!(r#"<row r="{row}">{cells}</row>"#);
    let header = [
        text("A1", "姓名"),
        text("B1", "事项"),
        text("C1", "诉求"),
        text("D1", "电话"),
    ]
    .concat();
    let cells = [
        r#"<c r="A2"><f>B9</f></c>"#.to_owned(),
        r#"<c r="B2" t="str"><f>"cremation"</f><v>cremation</v></c>"#.to_owned(),
        text("C2", "补办"),
        r#"<c r="D2" t="str"><f>IF(A1="","",A1)</f><v></v></c>"#.to_owned(),
    ];
    let rows = row(1, header) + &row(2, cells.concat());
    let sheet = format!("<worksheet><sheetData>{rows}</sheetData></worksheet>");
    let bench = Bench::new(
        "formulas.xlsx",
        &container("xl/worksheets/sheet1.xml", sheet.as_bytes()),
    );
    assert_eq!(bench.problems(), ["A2 姓名: its formula was never calculated"]);
}

#[test]
fn damaged_workbooks_are_refused_with_words() {
    let sheet = |inner: &str| {
        let content = format!("<worksheet><sheetData>{inner}</sheetData></worksheet>");
        Bench::new("odd.xlsx", &container("xl/worksheets/sheet1.xml", content.as_bytes())).refusal()
    };
    for inner in [
        r#"<row r="2"><c r="A2" t="inlineStr"><is><t>x</t></is></c></row><row r="1"><c r="A1"><v>1</v></c></row>"#,
        r#"<row r="1"><c r="A1" t="s"><v>7</v></c></row>"#,
        r#"<row r="1"><c r="0"><v>7</v></c></row>"#,
        r#"<row r="1"><c r="A1"><v>7</v>"#,
    ] {
        let refusal = sheet(inner);
        assert!(refusal.contains("damaged or no Excel workbook"), "{inner}: {refusal}");
    }
    let far = sheet(r#"<row r="1"><c r="ZZ1"><v>7</v></c></row>"#);
    assert!(far.contains("more than 256 columns"), "{far}");
    let no_sheet = Bench::new("none.xlsx", &container("word/document.xml", b"<w/>")).refusal();
    assert!(no_sheet.contains("damaged or no Excel workbook"), "{no_sheet}");
}

#[test]
fn large_files_are_answered_within_their_limits() {
    let huge = csv("");
    std::fs::File::create(&huge.order.path)
        .unwrap()
        .set_len(51 * 1024 * 1024)
        .unwrap();
    assert!(huge.refusal().contains("larger than 50 MB"));

    let header = "姓名,电话,事项,诉求\n";
    let mut many = csv(&format!(
        "{header}{}",
        "沈小兰,13900001234,cremation,补办\n".repeat(1_001)
    ));
    many.order.limits.rows = 1_000;
    assert!(many.refusal().contains("more than 1000 rows"));

    let commas = format!("{header}{}", ",".repeat(2_000_000));
    assert!(csv(&commas).refusal().contains("more than 256 columns"));

    let one_cell = format!("{header}沈小兰,13900001234,cremation,\"{}\"\n", "长".repeat(2_000_000));
    assert_eq!(
        csv(&one_cell).problems(),
        ["D2 诉求: it is too long (2000000 characters; at most 4000)"]
    );

    let blank = format!("{header}{}", "\n".repeat(2_000_000));
    assert!(csv(&blank).refusal().contains("more than 1048576 rows"));
}

async fn desk_import(hall: &Hall, text: &str) -> Result<Vec<xixin::domain::ids::CaseId>, DeskError> {
    let engine = &hall.app.engine;
    let rules = engine.live.get();
    let bench = csv(text);
    let now = engine.clock.now();
    let found = read(&bench.order, &rules.rulebook, now).unwrap();
    assert_eq!(found.problems.kept(), []);
    let new: Vec<NewCase> = found.taken.into_iter().map(|taken| taken.case).collect();
    let desk = Desk::new(&engine.store, &rules.rulebook, &StaffId::from("lin")).unwrap();
    let likenesses: Vec<Likeness> = desk
        .rehearse(&new, now)
        .iter()
        .filter_map(|done| Likeness::of(done.as_ref().unwrap()))
        .collect();
    desk.import(new, &likenesses, now).await
}

/// Two cases at 2026-03-02: a re-issue that ends on 20 March (its first rungs have passed), with a promise that is overdue, and one
/// that ended years ago.
const OLD: &str = "姓名,电话,出生年份,事项,诉求,火化日期,承诺内容,回电日期\n\
    沈小兰,13900001234,1976,cremation_certificate,补办证明,2016-03-20,办好了联系您,2026-02-12\n\
    李四,13900005678,1976,cremation_certificate,补办证明,2010-03-20,,\n";

#[tokio::test]
pub(crate) async fn an_import_sends_nothing_for_the_past_and_what_is_due_for_the_future() {
    let hall = Hall::open(NOW).await;
    let cases = desk_import(&hall, OLD).await.unwrap();
    hall.plan().await;
    for case in &cases {
        let ledger = hall.ledger(case).await;
        assert!(!ledger.is_empty(), "also what is not sent is decided");
        for row in &ledger {
            assert_eq!(row.state, "skipped", "{row:?}");
            assert!(row.due_ms < at(NOW).as_millisecond(), "{row:?}");
        }
    }
    hall.settle().await;
    assert_eq!(hall.take_reminders(), [], "nothing leaves at once");

    hall.run_until("2026-03-13 12:00").await;
    let later = hall.ledger(&cases[0]).await;
    let queued: Vec<_> = later.iter().filter(|row| row.state != "skipped").collect();
    assert!(!queued.is_empty(), "the future is reminded of");
    assert!(queued.iter().all(|row| row.due_ms >= at(NOW).as_millisecond()));
    assert!(
        queued.iter().any(|row| row.mark.contains("urgent")),
        "{:?}",
        hall.decisions(&cases[0]).await
    );
}

#[tokio::test]
pub(crate) async fn an_import_is_all_or_nothing_and_never_done_twice() {
    let hall = Hall::open(NOW).await;
    let cases = desk_import(&hall, OLD).await.unwrap();
    let again = desk_import(&hall, OLD).await;
    assert!(
        matches!(&again, Err(DeskError::Repeated(case)) if *case == cases[0]),
        "{again:?}"
    );
    let unnamed = "姓名,事项,诉求\n王五,hard_case,查询\n";
    desk_import(&hall, unnamed).await.unwrap();
    assert!(
        matches!(desk_import(&hall, unnamed).await, Err(DeskError::Repeated(_))),
        "by name where there is no number"
    );
    let all = hall.app.engine.store.list_cases(&everything()).await.unwrap();
    assert_eq!(all.len(), 3);

    // The second row is refused by the rules themselves: the first is not written either.
    let rules = hall.app.engine.live.get();
    let desk = Desk::new(&hall.app.engine.store, &rules.rulebook, &StaffId::from("lin")).unwrap();
    let mut new = csv(SHEN).cases();
    new[0].matter = "hard_case".into();
    new[0].deadlines.clear();
    let mut bad = new[0].clone();
    bad.unit = Some("nowhere".into());
    new.push(bad);
    assert!(desk.import(new, &[], at(NOW)).await.is_err());
    assert_eq!(hall.app.engine.store.list_cases(&everything()).await.unwrap().len(), 3);
}

fn everything() -> xixin::store::cases::Filter {
    xixin::store::cases::Filter {
        limit: 100,
        ..Default::default()
    }
}

// Through the program itself.

fn xixin(hall: &Hall, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xixin"));
    command
        .arg("--config")
        .arg(hall.config())
        .args(arguments)
        .env("XIXIN_AS", "lin")
        .env_remove("XIXIN_CONFIG");
    command.output().unwrap()
}

fn file(hall: &Hall, name: &str, text: &str) -> PathBuf {
    let path = hall.dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
pub(crate) async fn the_program_previews_then_commits_then_recognises_the_same_list() {
    let hall = Hall::open(NOW).await;
    let list = file(&hall, "old.csv", OLD);
    let import = |more: &[&str]| {
        let arguments = [&["import", shown(&list)], more].concat();
        xixin(&hall, &arguments)
    };
    let preview = import(&["--now", "2026-03-02T09:00:00+08:00"]);
    let text = stdout(&preview);
    assert_eq!(preview.status.code(), Some(0), "{text}");
    for words in [
        "沈** 139****1234",
        "2026年3月20日(周五),还有18天",
        "past; instead:",
        "this is a preview, nothing was written",
        "导入后到3月3日(周二)为止将发出",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("沈小兰") && !text.contains("13900001234"));
    assert!(
        hall.app
            .engine
            .store
            .list_cases(&everything())
            .await
            .unwrap()
            .is_empty()
    );

    let forged = import(&["--now", "2026-03-02T09:00:00+08:00", "--commit"]);
    assert_eq!(forged.status.code(), Some(2), "what is written is written as of now");
    let json: Value = serde_json::from_slice(&import(&["--json", "--commit"]).stdout).unwrap();
    assert_eq!(
        (&json["committed"], json["cases"].as_array().unwrap().len()),
        (&Value::Bool(true), 2)
    );
    assert_eq!(json["rows"][1]["deadlines"].as_array().unwrap().len(), 2);

    let again = import(&["--commit"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        stdout(&again).contains("probably a repeat of the open case 2026-000001"),
        "{}",
        stdout(&again)
    );
    assert_eq!(import(&["--commit", "--repeats", "skip"]).status.code(), Some(0));
    assert_eq!(hall.app.engine.store.list_cases(&everything()).await.unwrap().len(), 2);
    assert_eq!(import(&["--commit", "--repeats", "allow"]).status.code(), Some(0));
    assert_eq!(hall.app.engine.store.list_cases(&everything()).await.unwrap().len(), 4);
}

#[tokio::test]
pub(crate) async fn the_program_writes_nothing_while_a_single_cell_is_wrong() {
    let hall = Hall::open(NOW).await;
    let bad = format!("{OLD}王五,139,1976,hard_case,查询,,,\n");
    let output = xixin(&hall, &["import", shown(&file(&hall, "bad.csv", &bad)), "--commit"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.contains("B4 电话: 不是可用的电话号码") && text.contains("nothing was written"),
        "{text}"
    );
    assert!(
        hall.app
            .engine
            .store
            .list_cases(&everything())
            .await
            .unwrap()
            .is_empty()
    );

    let refused = xixin(&hall, &["import", shown(&file(&hall, "a.csv", "<html>"))]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("另存为 .xlsx 或 CSV UTF-8"));
    let usage = xixin(&hall, &["import", "a.csv", "--map", "nonsense"]);
    assert_eq!(usage.status.code(), Some(2));
}

#[tokio::test]
pub(crate) async fn what_the_rules_refuse_is_told_at_its_cell() {
    let hall = Hall::open(NOW).await;
    let list = "姓名,电话,事项,诉求,收件时间,优先理由,预约时间,预约事项,预约单位\n\
        沈小兰,13900001234,hard_case,查询,2027-01-01,,,,\n\
        李四,13900001235,hard_case,查询,,很急,,,\n\
        王五,13900001236,hard_case,查询,,,2026-02-17 10:00,交材料,social_insurance\n\
        赵六,13900001237,hard_case,查询,,,2026-03-08 10:00,交材料,social_insurance\n";
    let list = file(&hall, "refused.csv", list);
    let output = xixin(&hall, &["import", shown(&list), "--now", "2026-03-02T09:00:00+08:00"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1));
    for words in ["E2 收件时间:", "F3 优先理由:", "G4 预约时间:", "G5 预约时间:"] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[tokio::test]
pub(crate) async fn a_preview_says_what_the_import_will_cause() {
    let hall = Hall::open(NOW).await;
    let text = "姓名,电话,事项,诉求,火化日期\n\
        沈小兰,13900001234,cremation_certificate,补办证明,\n\
        李四,13900001235,cremation_certificate,补办证明,\n\
        王五,13900001236,cremation_certificate,补办证明,\n";
    let list = file(&hall, "undated.csv", text);
    let preview = |more: &[&str]| {
        let now = ["import", shown(&list), "--now", "2026-03-02T09:00:00+08:00"];
        stdout(&xixin(&hall, &[now.as_slice(), more].concat()))
    };
    let json: Value = serde_json::from_str(&preview(&["--json"])).unwrap();
    let caused = &json["caused"]["lin"];
    assert!(caused["to_find_a_date"].as_u64() >= Some(3), "{json}");
    let shown = preview(&[]);
    let words = format!("其中“核实日期”{} 条", caused["to_find_a_date"]);
    assert!(
        shown.contains(&words) && shown.contains("until the end of 3 March"),
        "{shown}"
    );

    // As it was foretold, so it comes.
    let cases = desk_import(&hall, text).await.unwrap();
    hall.run_until("2026-03-03 23:59").await;
    let mut queued = 0;
    for case in &cases {
        let ledger = hall.ledger(case).await;
        let to_lin = ledger
            .iter()
            .filter(|row| row.recipient == "staff:lin" && row.state == "accepted");
        queued += to_lin.count();
    }
    assert_eq!(caused["messages"], queued, "{json}");
}
