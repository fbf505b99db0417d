//! The length of an SMS, and what people may see of each other: units, segments, masks.

use xixin::domain::text::{
    TextProblem, clean_line, clean_text, mask_name, mask_phone, sms_segments, sms_units, surname,
};

#[test]
fn every_vector_has_its_units_and_segments() {
    let mut reader = csv::Reader::from_reader(include_str!("../data/sms_vectors.csv").as_bytes());
    let mut rows = 0;
    for row in reader.records() {
        let row = row.unwrap();
        let text = format!("{}{}", &row[1], &row[2]);
        let units = sms_units(&text);
        assert_eq!(units, row[3].parse::<usize>().unwrap(), "units of {}", &row[0]);
        assert_eq!(
            sms_segments(units),
            row[4].parse::<usize>().unwrap(),
            "segments of {}",
            &row[0]
        );
        rows += 1;
    }
    assert_eq!(rows, 18);
}

#[test]
fn segments_change_where_operators_say() {
    for (units, segments) in [
        (0, 0),
        (1, 1),
        (70, 1),
        (71, 2),
        (134, 2),
        (135, 3),
        (201, 3),
        (202, 4),
        (500, 8),
    ] {
        assert_eq!(sms_segments(units), segments, "{units} units");
    }
}

#[test]
fn a_mask_keeps_the_surname_and_nothing_else() {
    for (name, kept, masked) in [
        ("沈小兰", "沈", "沈**"),
        ("欧阳小兰", "欧阳", "欧阳**"),
        // Two characters are a surname and a given name, whatever they look like.
        ("东方", "东", "东**"),
        (" 王明 ", "王", "王**"),
        ("Jane Doe", "Doe", "D**"),
        ("", "", "**"),
    ] {
        assert_eq!(surname(name), kept, "{name}");
        assert_eq!(mask_name(name), masked, "{name}");
    }
}

#[test]
fn a_masked_number_cannot_be_called() {
    for (number, masked) in [
        ("13900001234", "139****1234"),
        ("010-00001234", "010****1234"),
        ("00001234", "****1234"),
        ("12345", "****"),
        ("", "****"),
    ] {
        assert_eq!(mask_phone(number), masked, "{number}");
    }
}

#[test]
fn nothing_invisible_enters_a_text() {
    assert_eq!(clean_line("  沈女士 ", 10), Ok("沈女士".to_owned()));
    assert_eq!(clean_line("沈\n女士", 10), Err(TextProblem::LineBreak { at: 2 }));
    assert_eq!(clean_line("沈\u{2028}女士", 10), Err(TextProblem::LineBreak { at: 2 }));
    assert_eq!(clean_line("a\0b", 10), Err(TextProblem::Control { at: 2, code: 0 }));
    assert_eq!(clean_line("a\u{202e}b", 10), Err(TextProblem::Bidi { at: 2 }));
    assert_eq!(clean_line("沈女士", 2), Err(TextProblem::TooLong { found: 3, max: 2 }));
    assert_eq!(clean_text("一\r\n二\t三\n", 10), Ok("一\n二\t三".to_owned()));
    assert_eq!(clean_text("一\r二", 10), Err(TextProblem::LineBreak { at: 2 }));
}
