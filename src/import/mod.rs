//! Takes cases over from CSV and XLSX files.
