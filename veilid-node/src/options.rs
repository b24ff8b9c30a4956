// SPDX-License-Identifier: MPL-2.0
//! The command line. What Veilid itself can be told stands in --config; an
//! option here is what ddcp needs to say.

use std::ffi::OsString;
use std::path::PathBuf;

use veilid_core::VeilidConfigLogLevel;

pub const USAGE: &str = "\
usage: veilid-node --api PATH --state DIR [OPTION]...
A Veilid node that offers Veilid's JSON API on a socket of this user alone.

  --api PATH               the socket; its directory must be closed to others
  --state DIR              where the node keeps its keys and tables
  --config FILE            settings of Veilid, as JSON; what it leaves out has
                           Veilid's default
  --listen [HOST]:PORT     where to listen, by UDP, TCP and WebSocket
  --network-key-file FILE  the password of a private network
  --bootstrap WHERE        a host, or a bootstrap record, of that network; may
                           be given several times
  --log LEVEL              off, error, warn (the default), info, debug or trace
  --until-eof              end when standard input does: with the program that
                           started this one
  --simulate N             N nodes without a network, at PATH.1 to PATH.N, in a
                           build that has them
  --version, --help";

/// What --simulate may ask for.
const SIMULATED_MAX: u16 = 64;

pub struct Options {
    pub api: PathBuf,
    /// Given unless nodes are simulated.
    pub state: Option<PathBuf>,
    pub config: Option<PathBuf>,
    pub listen: Option<String>,
    pub network_key_file: Option<PathBuf>,
    pub bootstrap: Vec<String>,
    pub log: VeilidConfigLogLevel,
    pub until_eof: bool,
    /// How many nodes; 0 is one real one.
    pub simulate: u16,
}

pub enum Command {
    Run(Box<Options>),
    Help,
    Version,
}

/// Reads the arguments; an error is a sentence.
pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let mut args = args;
    let mut api = None;
    let mut opt = Options {
        api: PathBuf::new(),
        state: None,
        config: None,
        listen: None,
        network_key_file: None,
        bootstrap: Vec::new(),
        log: VeilidConfigLogLevel::Warn,
        until_eof: false,
        simulate: 0,
    };
    while let Some(arg) = args.next() {
        let name = text("an option", arg)?;
        let mut value = || args.next().ok_or(format!("{name} needs a value"));
        match name.as_str() {
            "--api" => api = Some(value()?.into()),
            "--state" => opt.state = Some(value()?.into()),
            "--config" => opt.config = Some(value()?.into()),
            "--listen" => opt.listen = Some(text(&name, value()?)?),
            "--network-key-file" => opt.network_key_file = Some(value()?.into()),
            "--bootstrap" => opt.bootstrap.push(text(&name, value()?)?),
            "--log" => opt.log = level(&text(&name, value()?)?)?,
            "--until-eof" => opt.until_eof = true,
            "--simulate" => opt.simulate = simulated(&text(&name, value()?)?)?,
            "--help" => return Ok(Command::Help),
            "--version" => return Ok(Command::Version),
            _ => return Err(format!("unknown option {name}; --help lists all")),
        }
    }
    opt.api = api.ok_or("--api PATH is missing: where the socket shall be")?;
    if opt.simulate == 0 && opt.state.is_none() {
        return Err("--state DIR is missing: where the node keeps its keys".into());
    }
    // Whom a node asks first decides what network it sees. The public one signs its
    // answers, a private one is told apart by its password.
    if !opt.bootstrap.is_empty() && opt.network_key_file.is_none() {
        return Err("--bootstrap is for private networks: say --network-key-file too".into());
    }
    Ok(Command::Run(Box::new(opt)))
}

fn text(name: &str, value: OsString) -> Result<String, String> {
    value.into_string().map_err(|_| format!("{name} is not in UTF-8"))
}

fn level(name: &str) -> Result<VeilidConfigLogLevel, String> {
    name.to_lowercase().parse().map_err(|_| format!("--log knows no level {name}"))
}

fn simulated(n: &str) -> Result<u16, String> {
    match n.parse() {
        Ok(n) if (1..=SIMULATED_MAX).contains(&n) => Ok(n),
        _ => Err(format!("--simulate takes a number from 1 to {SIMULATED_MAX}")),
    }
}
