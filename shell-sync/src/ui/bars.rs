//! The time line of a run: for each job a bar from its start to its end.

/// A bar in `columns` columns that stand for `total_ms`. It begins in the column of its start; where Unicode may be used it
/// ends with the precision of an eighth of one. At least a sliver is drawn; nothing follows the bar's end.
pub fn bar(start_ms: i64, end_ms: i64, total_ms: i64, columns: usize, unicode: bool) -> String {
    let total = i128::from(total_ms.max(1));
    let eighths = i128::try_from(columns).unwrap_or(0) * 8;
    if eighths == 0 {
        return String::new();
    }
    let at = |ms: i64| (i128::from(ms.max(0)) * eighths / total).clamp(0, eighths);
    let begin = at(start_ms).min(eighths - 8) / 8 * 8;
    let length = usize::try_from((at(end_ms) - begin).max(1)).unwrap_or(1);
    let begin = usize::try_from(begin / 8).unwrap_or(0);
    let mut out = " ".repeat(begin);
    if unicode {
        out.extend(std::iter::repeat_n('█', length / 8));
        out.extend(['\0', '▏', '▎', '▍', '▌', '▋', '▊', '▉'].get(length % 8).filter(|&&c| c != '\0'));
    } else {
        out.extend(std::iter::repeat_n('=', length.div_ceil(8)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::text::width;

    #[test]
    fn bars_start_where_the_job_did() {
        for (start, end, total, columns, unicode, ascii) in [
            (0, 100, 100, 4, "████", "===="),
            (50, 100, 100, 4, "  ██", "  =="),
            (25, 50, 100, 4, " █", " ="),
            (25, 63, 100, 4, " █▌", " =="),
            (0, 0, 100, 4, "▏", "="),
            (100, 100, 100, 4, "   █", "   ="),
            (70, 20, 100, 4, "  ▏", "  ="),
            (-5, 400, 100, 4, "████", "===="),
            (0, 0, 0, 2, "▏", "="),
            (0, 100, 100, 0, "", ""),
        ] {
            assert_eq!(bar(start, end, total, columns, true), unicode, "{start} {end}");
            assert_eq!(bar(start, end, total, columns, false), ascii, "{start} {end}");
        }
    }

    quickcheck::quickcheck! {
        fn a_bar_is_seen_and_never_too_long(start: i64, end: i64, total: i64, columns: u8) -> bool {
            let columns = usize::from(columns) + 1;
            [true, false].iter().all(|&unicode| (1..=columns).contains(&width(&bar(start, end, total, columns, unicode))))
        }
    }
}
