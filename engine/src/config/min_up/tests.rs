use proptest::prelude::*;

use super::*;

#[test]
fn percentage_is_rounded_up_and_number_stays() {
    let needed = |text: &str, total| text.parse::<MinUp>().unwrap().needed(total);
    assert_eq!([needed("50%", 3), needed("50%", 4), needed("1%", 200), needed("1%", 201)], [2, 2, 2, 3]);
    assert_eq!([needed("0%", 3), needed("100%", 3), needed("100%", 0), needed("0", 3)], [0, 3, 0, 0]);
    assert_eq!([needed("2", 3), needed("2", 0)], [2, 2]);
    assert_eq!(MinUp::Percent(u8::MAX).needed(u32::MAX), u32::MAX);
}

#[test]
fn only_one_spelling_is_accepted() {
    for wrong in
        ["", "%", "101%", "-1", "+1", "02", "05%", "5 %", " 5%", "5.5%", "50%%", "4294967296", "half"]
    {
        assert_eq!(wrong.parse::<MinUp>(), Err(NotMinUp), "{wrong:?}");
    }
}

proptest! {
    #[test]
    fn display_and_parse_agree(count in any::<u32>(), percent in 0..=100u8) {
        for min_up in [MinUp::Count(count), MinUp::Percent(percent)] {
            prop_assert_eq!(min_up.to_string().parse(), Ok(min_up));
        }
    }

    #[test]
    fn percentage_is_the_least_number_that_reaches_it(total in 0..10_000u32, percent in 0..=100u8) {
        let needed = MinUp::Percent(percent).needed(total);
        let reaches = |count: u32| u64::from(count) * 100 >= u64::from(total) * u64::from(percent);
        prop_assert!(needed <= total && reaches(needed) && (needed == 0 || !reaches(needed - 1)));
    }
}
