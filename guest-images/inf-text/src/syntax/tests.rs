use super::*;

fn line(key: &str, values: &[&str]) -> Line {
    Line { key: key.into(), values: values.iter().map(ToString::to_string).collect() }
}

#[track_caller]
fn lines(text: &str, wanted: &[Line]) {
    let inf = Inf::parse(text).unwrap();
    assert_eq!(inf.lines("one").cloned().collect::<Vec<_>>(), wanted);
}

#[test]
fn entries_are_split_at_signs_outside_quotes() {
    lines(
        "[ONE]\na = b, \"c, = ; \"\"d\"\"\" ; e\nf\n",
        &[line("a", &["b", "c, = ; \"d\""]), line("f", &[])],
    );
}

#[test]
fn a_backslash_at_the_end_continues_the_line() {
    lines(
        "[one]\na = b, \\ ; not the end\n  c\nd = e, \\\n",
        &[line("a", &["b", "c"]), line("d", &["e", ""])],
    );
}

#[test]
fn tokens_are_replaced_and_unknown_ones_stay() {
    let text = "[Strings]\nName = \"a b\"\n[one]\n%NAME% = x%name%y, %13%\\z, 100%%, %\n";
    lines(text, &[line("a b", &["xa by", "%13%\\z", "100%", "%"])]);
}

#[test]
fn sections_of_one_name_are_one() {
    lines("[One]\na = 1\n[Two]\n[oNE]\nb = 2\n", &[line("a", &["1"]), line("b", &["2"])]);
}

#[test]
fn a_line_before_the_first_section_is_refused_by_its_number() {
    assert_eq!(Inf::parse("; a comment\n\nhello\n[One]\n"), Err(Outside(3)));
}

#[test]
fn the_first_value_of_a_key_is_found_in_any_case() {
    let inf = Inf::parse("[One]\nKey = 1, 2\nkey = 3\n[Empty]\n").unwrap();
    assert_eq!(inf.value("ONE", "KEY").as_deref(), Some("1"));
    assert_eq!((inf.has("empty"), inf.has("none"), inf.value("none", "key")), (true, false, None));
}
