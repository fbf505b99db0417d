//! Commands on plans: drafted from what the matter usually takes, approved by two people, carried out step by step.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::case::{Approval, CaseFlag, Head, Purpose, ServicePlan, Step, StepOf};
use crate::domain::command::items::{already_over, known_office, next_id, no_item};
use crate::domain::command::open::too_many;
use crate::domain::command::whole::whole;
use crate::domain::command::{Change, Context, Refusal, fields, todos};
use crate::domain::event::Event;
use crate::domain::ids::{ItemId, OfficeId};
use crate::domain::org::Role;
use crate::domain::text::Said;

/// A step as it is written down. `after` names steps of the plan: `s2`, or their number in the list, from 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewStep {
    pub name: String,
    #[serde(default)]
    pub office: Option<OfficeId>,
    #[serde(default)]
    pub agency: String,
    #[serde(default)]
    pub after: Vec<String>,
    #[serde(default, deserialize_with = "whole")]
    pub takes_days: Option<u32>,
    #[serde(default)]
    pub expedite: bool,
}

/// No plan has more steps.
pub const STEPS_MAX: usize = 30;
/// How long a step takes when nobody says, in opening days.
const DEFAULT_DAYS: u32 = 5;
const DAYS_MAX: u32 = 250;

/// Drafts a plan: the steps given, else those that the matter usually takes.
pub(super) fn draft(
    change: &mut Change,
    context: &Context<'_>,
    steps: Option<Vec<NewStep>>,
    needed_by: Option<&str>,
) -> Result<(), Refusal> {
    if change.case.plan.is_some() {
        return Err(Refusal::new(
            Said::new("本案已有方案", "the case has a plan already"),
            Said::new("用 add_step 增加步骤", "add steps with \"add_step\""),
        ));
    }
    let needed_by = needed_by
        .map(|text| fields::day_to_come("needed_by", text, context))
        .transpose()?;
    let steps = match steps {
        Some(steps) => steps,
        None => usual_steps(change, context)?,
    };
    if steps.is_empty() {
        return Err(Refusal::at(
            "steps",
            Said::new("方案没有步骤", "the plan has no steps"),
            Said::new("至少写一步", "give at least one"),
        ));
    }
    change.case.plan = Some(ServicePlan {
        drafted_at: context.now,
        drafted_by: context.actor.id.clone(),
        approvals: Vec::new(),
        needed_by,
        steps: Vec::new(),
    });
    let n = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    change.events.push(Event::PlanDrafted { steps: n });
    let firsts: Vec<u32> = (0..n).map(|index| change.case.next_item + index).collect();
    for (index, step) in steps.into_iter().enumerate() {
        let named = resolve(step, &firsts);
        add(change, context, named).map_err(|refusal| within(refusal, index))?;
    }
    no_circle(change)?;
    todos::add(change, context, todos::New::of(Purpose::ApprovePlan))
}

/// A plan that has grown is another plan: what has not begun waits until it is approved again.
pub(super) fn add_step(change: &mut Change, context: &Context<'_>, new: NewStep) -> Result<(), Refusal> {
    add(change, context, new)?;
    no_circle(change)?;
    ask_again(change, context)
}

/// A step is not needed after all, and nothing waits for it any more.
pub(super) fn drop_step(
    change: &mut Change,
    context: &Context<'_>,
    item: &ItemId,
    reason: &str,
) -> Result<(), Refusal> {
    let reason = fields::line("reason", reason, fields::SHORT_MAX)?;
    not_begun(step_mut(change, item)?)?;
    let plan = plan(change)?;
    if plan.steps.len() == 1 {
        return Err(Refusal::at(
            "item",
            Said::new("这是方案的最后一步", "it is the only step of the plan"),
            Said::new("先用 add_step 增加另一步", "add another one with add_step first"),
        ));
    }
    plan.steps.retain(|step| step.head.id != *item);
    for step in &mut plan.steps {
        step.after.retain(|before| before != item);
    }
    change.events.push(Event::StepDropped {
        item: item.clone(),
        reason,
    });
    ask_again(change, context)
}

/// How long a step takes, or what it waits for, is other than was thought.
pub(super) fn change_step(
    change: &mut Change,
    context: &Context<'_>,
    item: &ItemId,
    takes_days: Option<u32>,
    after: Option<Vec<String>>,
) -> Result<(), Refusal> {
    let step = step_mut(change, item)?;
    if step.done.is_some() {
        return Err(already_over(item));
    }
    let before = (step.takes_days, step.after.clone());
    if let Some(days) = takes_days {
        step.takes_days = fields::within("takes_days", days, 0, DAYS_MAX)?;
    }
    if let Some(after) = after {
        not_begun(step)?;
        step.after = after.iter().map(|item| ItemId::from(item.trim())).collect();
    }
    if before == (step.takes_days, step.after.clone()) {
        return Err(Refusal::at(
            "item",
            Said::new("这一步没有变化", "the step is the same as before"),
            Said::new("写出 takes_days 或 after", "give takes_days or after"),
        ));
    }
    no_circle(change)?;
    change.events.push(Event::StepChanged { item: item.clone() });
    ask_again(change, context)
}

/// The day by which the whole plan has to be done has changed.
pub(super) fn needed_by(change: &mut Change, context: &Context<'_>, day: &str) -> Result<(), Refusal> {
    let day = match day.trim() {
        "none" => None,
        text => Some(fields::day_to_come("day", text, context)?),
    };
    let plan = plan(change)?;
    if plan.needed_by == day {
        return Err(Refusal::at(
            "day",
            Said::new("最晚日期没有变化", "it is the same day as before"),
            Said::new("无需更改", "there is nothing to change"),
        ));
    }
    plan.needed_by = day;
    change.events.push(Event::NeededBy { day });
    ask_again(change, context)
}

/// A plan that has changed is another plan: both approve it anew.
fn ask_again(change: &mut Change, context: &Context<'_>) -> Result<(), Refusal> {
    let plan = plan(change)?;
    if !plan.approvals.is_empty() {
        plan.approvals.clear();
        // It may be with the second of them; it begins with the first again.
        todos::settle(change, context, Purpose::ApprovePlan, None);
    }
    todos::add(change, context, todos::New::of(Purpose::ApprovePlan))
}

fn not_begun(step: &Step) -> Result<(), Refusal> {
    if step.done.is_some() {
        return Err(already_over(&step.head.id));
    }
    if step.started.is_some() {
        return Err(Refusal::at(
            "item",
            Said::new("这一步已经开始", "the step has been started"),
            Said::new("办完后用 step_done 登记", "record it with step_done when it is done"),
        ));
    }
    Ok(())
}

/// Two people agree before anything starts: a supervisor and whoever directs the centre.
pub(super) fn approve(change: &mut Change, context: &Context<'_>) -> Result<(), Refusal> {
    let actor = context.actor;
    if !actor.role.is_supervisory() {
        return Err(Refusal::new(
            Said::new(
                "方案由业务主管和主任批准",
                "a plan is approved by the business supervisor and the director",
            ),
            Said::new(
                "请他们用自己的身份(--as)批准",
                "ask them to approve it under their own names (--as)",
            ),
        ));
    }
    if !context.rules.org.is_within(&change.case.unit, &actor.unit) {
        return Err(Refusal::new(
            Said::new(
                "方案由本案所在中心或区级批准",
                "a plan is approved by the centre of its case, or the district",
            ),
            Said::new(
                "请本中心的业务主管和主任批准",
                "ask the supervisor and the director of that centre",
            ),
        ));
    }
    let plan = plan(change)?;
    let mine = |one: &Approval| one.role == actor.role || one.by == actor.id;
    if plan.approved_at().is_some() || plan.approvals.iter().any(mine) {
        return Err(Refusal::new(
            Said::new("此职已经批准过", "somebody in this office has approved it already"),
            Said::new("还需另一职批准", "the other office has to approve it too"),
        ));
    }
    plan.approvals.push(Approval {
        at: context.now,
        by: actor.id.clone(),
        role: actor.role,
    });
    let approved = plan.approved_at().is_some();
    change.events.push(Event::PlanApproved { role: actor.role });
    if approved {
        todos::settle(change, context, Purpose::ApprovePlan, None);
    } else if let Some(next) = who_approves_next(change, context) {
        todos::settle(change, context, Purpose::ApprovePlan, None);
        todos::add(change, context, todos::New::of(Purpose::ApprovePlan).by(next))?;
    }
    Ok(())
}

pub(super) fn start(change: &mut Change, context: &Context<'_>, item: &ItemId) -> Result<(), Refusal> {
    let plan = plan(change)?;
    if plan.approved_at().is_none() {
        return Err(Refusal::at(
            "item",
            Said::new("方案还没有批准,是草稿", "the plan is a draft: it is not approved yet"),
            Said::new(
                "先由业务主管和主任各自 approve_plan",
                "the business supervisor and the director approve it first, each with approve_plan",
            ),
        ));
    }
    let plan = &*plan;
    let Some(step) = plan.step(item) else {
        return Err(no_item(&change.case, item));
    };
    if step.started.is_some() || step.done.is_some() {
        return Err(already_over(item));
    }
    let of = StepOf {
        plan,
        step,
        start_by: None,
    };
    if of.ready_at().is_none() {
        let open = step
            .after
            .iter()
            .filter(|id| plan.step(id).is_some_and(|one| one.done.is_none()));
        let open: Vec<&str> = open.map(ItemId::as_str).collect();
        let open = open.join(", ");
        return Err(Refusal::at(
            "item",
            Said::new(
                format!("前面的步骤还没办完: {open}"),
                format!("steps before it are not done: {open}"),
            ),
            Said::new("按顺序办", "take them in their order"),
        ));
    }
    let mark = context.mark();
    step_mut(change, item)?.started = Some(mark);
    change.events.push(Event::StepStarted { item: item.clone() });
    Ok(())
}

pub(super) fn done(change: &mut Change, context: &Context<'_>, item: &ItemId) -> Result<(), Refusal> {
    let mark = context.mark();
    let step = step_mut(change, item)?;
    if step.done.is_some() {
        return Err(already_over(item));
    }
    if step.started.is_none() {
        return Err(Refusal::at(
            "item",
            Said::new("这一步还没有开始", "the step has not been started"),
            Said::new("先用 start_step 登记开始", "record its start with start_step first"),
        ));
    }
    step.done = Some(mark);
    change.events.push(Event::ItemDone { item: item.clone() });
    Ok(())
}

pub(super) fn expedite(change: &mut Change, item: &ItemId, on: bool) -> Result<(), Refusal> {
    let step = step_mut(change, item)?;
    if step.done.is_some() {
        return Err(already_over(item));
    }
    step.expedite = on;
    change.events.push(Event::StepExpedited { item: item.clone(), on });
    Ok(())
}

/// The case has become urgent: so has every step that is not done.
pub(super) fn expedite_open(change: &mut Change) {
    let steps = change.case.plan.as_mut().into_iter().flat_map(|plan| &mut plan.steps);
    for step in steps.filter(|step| step.done.is_none() && !step.expedite) {
        step.expedite = true;
        change.events.push(Event::StepExpedited {
            item: step.head.id.clone(),
            on: true,
        });
    }
}

/// The agency was asked how far it is.
pub(super) fn contacted(change: &mut Change, context: &Context<'_>, item: &ItemId) -> Result<(), Refusal> {
    let step = step_mut(change, item)?;
    if step.started.is_none() || step.done.is_some() {
        return Err(already_over(item));
    }
    step.last_contact = Some(context.now);
    Ok(())
}

fn usual_steps(change: &Change, context: &Context<'_>) -> Result<Vec<NewStep>, Refusal> {
    let matter = context.rules.matters.get(&change.case.matter);
    let presets = matter.map_or(&[][..], |matter| &matter.steps);
    if presets.is_empty() {
        return Err(Refusal::at(
            "steps",
            Said::new("此类事项没有预设步骤", "matters of this kind have no usual steps"),
            Said::new("写出 steps", "give the steps"),
        ));
    }
    let step = |preset: &crate::domain::rulebook::StepPreset| NewStep {
        name: preset.name.zh.clone(),
        office: preset.office.clone(),
        agency: preset.agency.clone(),
        after: preset.after.iter().map(u32::to_string).collect(),
        takes_days: Some(preset.takes_days),
        expedite: preset.expedite,
    };
    Ok(presets.iter().map(step).collect())
}

/// Numbers in the list become the items they will be.
fn resolve(step: NewStep, items: &[u32]) -> NewStep {
    let item = |name: String| {
        let n: Option<usize> = name.trim().parse().ok();
        let item = n.and_then(|n| n.checked_sub(1)).and_then(|index| items.get(index));
        item.map_or(name, |item| format!("s{item}"))
    };
    NewStep {
        after: step.after.into_iter().map(item).collect(),
        ..step
    }
}

fn add(change: &mut Change, context: &Context<'_>, new: NewStep) -> Result<(), Refusal> {
    known_office(context, new.office.as_ref())?;
    if plan(change)?.steps.len() >= STEPS_MAX {
        return Err(too_many("steps", STEPS_MAX));
    }
    let name = fields::line("name", &new.name, fields::SHORT_MAX)?;
    let takes_days = fields::within("takes_days", new.takes_days.unwrap_or(DEFAULT_DAYS), 0, DAYS_MAX)?;
    let id = next_id(change, 's')?;
    // The matter knows the English of its own steps.
    let matter = context.rules.matters.get(&change.case.matter);
    let known = matter.and_then(|matter| matter.steps.iter().find(|preset| preset.name.zh == name));
    let case_is_expedited = change.case.flags.contains(&CaseFlag::Expedite);
    let step = Step {
        head: Head::new(id.clone(), context.now),
        name: known.map_or_else(|| Said::new(name.clone(), name.clone()), |preset| preset.name.clone()),
        office: new.office,
        agency: fields::optional_line("agency", &new.agency, fields::SHORT_MAX)?,
        after: new.after.iter().map(|item| ItemId::from(item.trim())).collect(),
        takes_days,
        expedite: new.expedite || case_is_expedited,
        started: None,
        last_contact: None,
        done: None,
    };
    plan(change)?.steps.push(step);
    change.events.push(Event::StepAdded { item: id });
    Ok(())
}

/// Every step that another waits for exists, and none waits for itself in the end.
fn no_circle(change: &Change) -> Result<(), Refusal> {
    let steps = change.case.plan.as_ref().map_or(&[][..], |plan| &plan.steps);
    let known: BTreeSet<&ItemId> = steps.iter().map(|step| &step.head.id).collect();
    for step in steps {
        if let Some(stranger) = step.after.iter().find(|id| !known.contains(id)) {
            let list: Vec<&str> = known.iter().map(|id| id.as_str()).collect();
            let list = list.join(", ");
            let name = crate::domain::text::shown(stranger.as_str());
            return Err(Refusal::at(
                "after",
                Said::new(
                    format!("方案中没有步骤“{name}”"),
                    format!("the plan has no step \"{name}\""),
                ),
                Said::new(format!("现有: {list}"), format!("there are: {list}")),
            ));
        }
    }
    // What has nothing before it any more is taken away until nothing is left, or only circles are.
    let mut left: Vec<&Step> = steps.iter().collect();
    while !left.is_empty() {
        let ids: BTreeSet<&ItemId> = left.iter().map(|step| &step.head.id).collect();
        let (waiting, free): (Vec<&Step>, Vec<&Step>) = left
            .iter()
            .partition(|step| step.after.iter().any(|id| ids.contains(id)));
        if free.is_empty() {
            let names: Vec<&str> = waiting.iter().map(|step| step.head.id.as_str()).collect();
            let names = names.join(", ");
            return Err(Refusal::at(
                "after",
                Said::new(
                    format!("步骤互相等待: {names}"),
                    format!("steps wait for each other: {names}"),
                ),
                Said::new("去掉其中一个先后关系", "take one of them out of \"after\""),
            ));
        }
        left = waiting;
    }
    Ok(())
}

fn who_approves_next(change: &Change, context: &Context<'_>) -> Option<crate::domain::ids::StaffId> {
    let plan = change.case.plan.as_ref()?;
    let has = |roles: &[Role]| plan.approvals.iter().any(|one| roles.contains(&one.role));
    let role = if has(&[Role::BusinessSupervisor]) {
        Role::Director
    } else {
        Role::BusinessSupervisor
    };
    let mut staff = context.rules.org.with_role(&change.case.unit, role);
    staff.next().map(|staff| staff.id.clone())
}

fn within(refusal: Refusal, index: usize) -> Refusal {
    let field = refusal.field.unwrap_or_default();
    Refusal {
        field: Some(format!("steps[{index}].{field}")),
        ..refusal
    }
}

fn plan(change: &mut Change) -> Result<&mut ServicePlan, Refusal> {
    change.case.plan.as_mut().ok_or_else(|| {
        Refusal::new(
            Said::new("本案没有方案", "the case has no plan"),
            Said::new("先用 draft_plan 起草", "draft one with draft_plan first"),
        )
    })
}

fn step_mut<'a>(change: &'a mut Change, item: &ItemId) -> Result<&'a mut Step, Refusal> {
    let refusal = no_item(&change.case, item);
    let plan = change.case.plan.as_mut();
    let mut steps = plan.into_iter().flat_map(|plan| &mut plan.steps);
    steps.find(|step| step.head.id == *item).ok_or(refusal)
}
