//! What a pipeline is to hold: sections of jobs, one a tool.

/// The source of a job that needs no other.
const PUSH: &str = "quire/push";

/// A job to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) inputs: Vec<String>,
    pub(super) desc: String,
    pub(super) commands: Vec<String>,
    /// Why its failure is allowed, where it is.
    pub(super) allowed: Option<String>,
}

impl Job {
    /// A job after these others of its section; after none, a push starts it.
    pub(super) fn new(id: &str, after: &[&str], desc: &str, command: &str) -> Job {
        let inputs = if after.is_empty() { &[PUSH] } else { after };
        Job {
            id: id.to_owned(),
            inputs: inputs.iter().map(|input| (*input).to_owned()).collect(),
            desc: desc.to_owned(),
            commands: vec![command.to_owned()],
            allowed: None,
        }
    }

    /// The same, allowed to fail for this reason unless it `passes` now.
    pub(super) fn unless_passing(mut self, passes: bool, why: &str) -> Job {
        self.allowed = (!passes).then(|| why.to_owned());
        self
    }
}

/// The jobs of one tool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Section {
    /// Goes before the ids where there are several sections.
    pub(super) prefix: &'static str,
    /// What was found: `Cargo.toml`.
    pub(super) found: String,
    pub(super) jobs: Vec<Job>,
    /// What was left out, and why.
    pub(super) notes: Vec<String>,
}

/// A whole pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    sections: Vec<Section>,
}

impl Plan {
    /// Joins sections: with several that have jobs, ids get their section's prefix; with none, a pipeline that says hello.
    pub(super) fn new(mut sections: Vec<Section>) -> Plan {
        match sections.iter().filter(|section| !section.jobs.is_empty()).count() {
            0 => sections.push(hello()),
            1 => {}
            _ => sections.iter_mut().for_each(Section::qualify),
        }
        Plan { sections }
    }

    pub(super) fn sections(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter()
    }

    pub(super) fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.sections.iter().flat_map(|section| &section.jobs)
    }
}

impl Section {
    fn qualify(&mut self) {
        let prefix = self.prefix;
        for job in &mut self.jobs {
            job.id = format!("{prefix}-{}", job.id);
            for input in job.inputs.iter_mut().filter(|input| *input != PUSH) {
                *input = format!("{prefix}-{input}");
            }
        }
    }
}

fn hello() -> Section {
    let hello = Job::new("hello", &[], "Says hello", "echo \"hello from the job $QUIRE_JOB_ID\"");
    let goodbye = Job::new("goodbye", &["hello"], "Comes after hello", "echo \"this ran after hello, in $PWD\"");
    Section { prefix: "", found: String::new(), jobs: vec![hello, goodbye], notes: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_sections_get_prefixes() {
        let section = |prefix| Section {
            prefix,
            jobs: vec![Job::new("build", &[], "", "x"), Job::new("test", &["build"], "", "x")],
            ..Section::default()
        };
        let ids =
            |plan: &Plan| plan.jobs().map(|job| format!("{}<-{}", job.id, job.inputs.join(","))).collect::<Vec<_>>();
        assert_eq!(ids(&Plan::new(vec![section("a")])), ["build<-quire/push", "test<-build"]);
        let both = Plan::new(vec![section("a"), section("b")]);
        assert_eq!(ids(&both), ["a-build<-quire/push", "a-test<-a-build", "b-build<-quire/push", "b-test<-b-build"]);
        let one = Plan::new(vec![section("a"), Section { prefix: "b", ..Section::default() }]);
        assert_eq!(ids(&one), ["build<-quire/push", "test<-build"], "a section without jobs asks for no prefix");
        assert_eq!(ids(&Plan::new(Vec::new())), ["hello<-quire/push", "goodbye<-hello"]);
    }
}
