"""People's work: collection, blind judging, expert answers and adjudication, as functions over a `Desk` (an open study and a clock).

The promises: more votes than slots cannot exist, nobody meets an item twice or one of their own, an answer to a task that was given out
is never refused for being late, the same key is one answer, and what was sent is never edited. They are unique keys and foreign keys of
`study.tables`, not checks in the code.

Services by module:

- `desk`: `Desk(study, clock)`, one per study and process
- `accounts`: `add_person`, `find_person`, `list_people`, `set_person_state`, `forget_person`; `grant_role`, `revoke_role`, `has_role`,
  `need_role`, `has_manager`; `invite(Offer)`, `invitation`, `accept`, `accept_as`, `revoke_invitation`; `init_people`
- `sessions`: `sign_in`, `open_session`, `session_of`, `confirm_session`, `close_session`, `set_password`, `set_locale`, `take_token`
  (rate limits)
- `campaigns`: `campaign_of`, `create_campaign`, `get_campaign`, `list_campaigns`, `set_state`, `change_settings`, `publish_guideline`,
  `kinds` (titles, guidelines, reasons per language), `templates`
- `tasks`: `add_tasks`, `add_votes`, `void_task`
- `assign`: `claim_next`, `look_again`
- `holding`: `heartbeat`, `release`, `save_draft`, `skip`, `return_task`, `give_consent`, `set_member_state`
- `submit`: `submit` (a further answer is a revision)
- `decide`: `adjudicate` (reviews too), `votes`
- `writing`: `write_prompt`, `ask_models`, `show_prompt`, `claim_unsafe`, `retract`, `my_prompts`, `like_it`; `asking`: `asker`
- `progress`: `counters`, `labels`, `headline`, `history`, `own_data`, `votes_by_task`, `votes_by_item`; `quality`: `quality`;
  `rates`: `attack_rates`; `agreeing`: `agreement`
- `explain`: `explain_person`, `explain_task`, `stuck`
- `export`: `export_campaign`; `importing`: `import_file`; `backup`: `back_up`, `restore`; `verify`: `verify_people`
- `planner`: sample sizes; `simulate`: annotators of known sensitivity and specificity
- `words`: every phrase in Chinese and English; `why` for the reasons of `Nothing` and `explain`

How a page uses them. A judge: `claim_next` gives an `Assignment` (all that a page may show) or `Nothing` with its reason; `heartbeat`
every 60 s, `save_draft` while typing, then `submit` or `skip`; a late, repeated or offline `submit` is taken. To correct: `history`,
`look_again`, `submit` under a new key. An adjudicator or reviewer: `claim_next(…, duty="adjudicate")` or `duty="review"`, `adjudicate`
(blind), the votes come back, `adjudicate` under a new key to revise, `return_task` to send work back. An author: see `writing`.

Roles are checked by `claim_next` and `write_prompt`. For a manager's services (campaigns, tasks, accounts, export) the caller calls
`need_role` first. `submit`, `adjudicate` and `claim_unsafe` take `forms.Sending` or the same as plain JSON. Errors are `people.errors`,
each with its HTTP status; other `CValuesError`s are 400.
"""
