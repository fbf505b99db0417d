//! Commands on people: how the resident and the relatives may be reached, and what they agreed to.

use crate::domain::command::{Change, Context, PersonChange, Refusal, fields};
use crate::domain::event::Event;
use crate::domain::ids::PersonId;
use crate::domain::person::{Person, Relative};
use crate::domain::plan::People;
use crate::domain::text::Said;

pub(super) fn change_person(
    change: &mut Change,
    people: &People,
    context: &Context<'_>,
    new: PersonChange,
) -> Result<(), Refusal> {
    let mut person = known_person(change, people, new.person.as_ref())?.clone();
    let mut fields_changed = Vec::new();
    let mut changed = |name: &str| fields_changed.push(name.to_owned());
    if let Some(name) = new.name {
        person.name = fields::name("name", &name)?;
        changed("name");
    }
    if let Some(phone) = new.phone {
        person.phone = if phone.trim().is_empty() {
            None
        } else {
            Some(fields::phone("phone", &phone)?)
        };
        person.phone_is_wrong = false;
        changed("phone");
    }
    if let Some(email) = new.email {
        person.email = if email.trim().is_empty() {
            None
        } else {
            Some(fields::email("email", &email)?)
        };
        changed("email");
    }
    if let Some(born) = new.born {
        let this_year = context.rules.zone.to_datetime(context.now).year();
        person.born = Some(fields::year_of_birth("born", born, this_year)?);
        changed("born");
    }
    if let Some(opted_out) = new.opted_out {
        person.opted_out = opted_out;
        changed("opted_out");
    }
    if let Some(deceased) = new.deceased {
        person.deceased = deceased;
        changed("deceased");
    }
    if let Some(opted_in) = new.opted_in {
        relative_of(&mut person, "opted_in")?.opted_in = opted_in;
        changed("opted_in");
    }
    if let Some(may_know) = new.may_know {
        relative_of(&mut person, "may_know")?.may_know = may_know;
        changed("may_know");
    }
    if let Some(flags) = new.flags {
        person.flags = flags;
        changed("flags");
    }
    if let Some(language) = new.language {
        person.language = language;
        changed("language");
    }
    if fields_changed.is_empty() {
        return Err(Refusal::new(
            Said::new("没有要改的内容", "there is nothing to change"),
            Said::new("至少给出一个字段,如 phone", "give at least one field, such as phone"),
        ));
    }
    change.events.push(Event::PersonChanged {
        person: person.id.clone(),
        fields: fields_changed,
    });
    change.people.push(person);
    Ok(())
}

fn relative_of<'a>(person: &'a mut Person, field: &str) -> Result<&'a mut Relative, Refusal> {
    person.relative.as_mut().ok_or_else(|| {
        Refusal::at(
            field,
            Said::new("此项只用于亲属", "it is about relatives only"),
            Said::new(
                "用 person 指明亲属;居民退订用 opted_out",
                "name the relative with person; residents use opted_out",
            ),
        )
    })
}

/// The person named, or the resident.
pub(super) fn known_person<'a>(
    change: &Change,
    people: &'a People,
    named: Option<&PersonId>,
) -> Result<&'a Person, Refusal> {
    let wanted = named.unwrap_or(&change.case.party.person);
    people.all().find(|person| person.id == *wanted).ok_or_else(|| {
        let known: Vec<String> = people.all().map(|person| person.id.to_string()).collect();
        let list = if known.is_empty() {
            "-".to_owned()
        } else {
            known.join(", ")
        };
        Refusal::at(
            "person",
            Said::new("本案没有此人", "the case has no such person"),
            Said::new(format!("现有: {list}"), format!("there are: {list}")),
        )
    })
}
