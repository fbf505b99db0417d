//! The same through a pgbouncer that gives a connection for each transaction: the contract of the store, and days as they are.

use super::again::again;

again! { behind_a_pooler:
    contract:
        a_row_that_cannot_be_read_is_named_without_its_content
        a_list_is_as_long_as_asked_for_and_newest_first
        every_event_is_sealed_with_the_one_before_across_processes
        two_processes_that_write_at_once_lose_and_double_nothing
        a_claim_takes_what_presses_most_a_probe_what_was_tried_least_and_a_fallback_what_has_one
        an_attempt_starts_only_from_a_live_claim_of_an_unchanged_case
        every_question_to_the_database_is_understood
        a_claim_that_is_prolonged_is_not_put_back_and_an_old_one_cannot_be_prolonged
        a_long_list_is_taken_over_as_if_case_by_case
        what_others_say_is_stored_whatever_letters_it_has
    ;
    digests:
        everybody_gets_one_a_workday_make_up_saturdays_included_and_none_on_holidays
        a_crash_between_queueing_and_sending_loses_no_digest_and_doubles_none
    ;
    doubts:
        cut_after_the_dot_leaves_two_identical_copies_at_the_most
        the_second_copy_is_the_first_to_the_byte_also_hours_later
        a_message_whose_words_have_changed_meanwhile_goes_under_another_name_and_the_ledger_says_so
    ;
    engine:
        a_promise_is_due_then_overdue_then_told_to_the_supervisor_until_it_is_kept
        what_changes_between_queueing_and_sending_stops_or_reroutes_the_message
        caps_hold_over_all_cases_of_a_resident_and_what_is_critical_says_why_it_passed
    ;
    guard:
        an_import_that_makes_thousands_due_sends_fifty_until_two_supervisors_agree
    ;
}
