// SPDX-License-Identifier: MPL-2.0
//! veilid-node: one Veilid node, commanded through Veilid's JSON API on a unix socket.
//!
//! ddcp starts it and it ends with ddcp; it is what `veilid-server` is, less the ways in
//! that nobody needs here. options.rs is the command line, config.rs what Veilid is told,
//! place.rs files and the socket, client.rs the talk on it, routes.rs what a client
//! leaves behind.
//!
//! When the sockets are open, a line `listening PATH` for each goes to standard output;
//! all else that is said goes to standard error.

mod client;
mod config;
mod options;
mod place;
mod routes;

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{signal, SignalKind};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use veilid_core::{LogOutput, VeilidAPI, VeilidTracing, VeilidUpdate};
use veilid_remote_api::RecvMessage;

use client::Clients;
use options::{Command, Options};
use place::Socket;

const SIMULATION: bool = cfg!(feature = "simulation");
const THREADS: usize = 2;
/// Veilid's futures are deep where they are not optimised.
const STACK: usize = 8 << 20;
const SHUTDOWN: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let done = match options::parse(std::env::args_os().skip(1)) {
        Ok(Command::Help) => {
            println!("{}", options::USAGE);
            Ok(())
        }
        Ok(Command::Version) => {
            let what = if SIMULATION { ", without a network" } else { "" };
            println!("veilid-node {} (Veilid {}{what})", env!("CARGO_PKG_VERSION"),
                     veilid_core::veilid_version_string());
            Ok(())
        }
        Ok(Command::Run(opt)) => run(&opt),
        Err(e) => Err(e),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("veilid-node: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(opt: &Options) -> Result<(), String> {
    if opt.simulate > 0 && !SIMULATION {
        return Err("this build has a network: --simulate is for one that has none".into());
    }
    if opt.simulate == 0 && SIMULATION {
        return Err("this build has no network: it only knows --simulate".into());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_stack_size(STACK)
        .enable_all()
        .build()
        .map_err(|e| format!("cannot start: {e}"))?;
    let done = runtime.block_on(Box::pin(live(opt)));
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

/// From start to end.
async fn live(opt: &Options) -> Result<(), String> {
    let _state = opt.state.as_deref().map(place::hold_state).transpose()?;
    let tracing = VeilidTracing::try_init([LogOutput::stderr(false)])
        .map_err(|e| format!("cannot log: {e}"))?;
    tracing.apply_common_log_level(opt.log);
    let mut nodes = Vec::new();
    let ended = tokio::select! {
        Err(e) = Box::pin(start_all(opt, &mut nodes)) => Err(e),
        ended = told_to_end(opt.until_eof) => ended,
    };
    for node in nodes {
        node.end().await;
    }
    ended
}

/// Starts the nodes; returns only if one can't.
async fn start_all(opt: &Options, nodes: &mut Vec<Node>) -> Result<(), String> {
    if opt.simulate == 0 {
        nodes.push(Node::start(opt, &opt.api, None).await?);
    }
    for number in 1..=opt.simulate {
        let mut path = opt.api.clone().into_os_string();
        path.push(format!(".{number}"));
        nodes.push(Node::start(opt, &PathBuf::from(path), Some(number)).await?);
    }
    std::future::pending().await
}

struct Node {
    api: VeilidAPI,
    accepting: JoinHandle<()>,
}

impl Node {
    /// Starts a node (the simulated one of that number) and opens its socket.
    async fn start(opt: &Options, path: &Path, simulated: Option<u16>) -> Result<Self, String> {
        let settings = config::settings(opt, simulated)?;
        let socket = place::listen(path)?;
        let clients = Clients::default();
        let told = clients.clone();
        let update = Arc::new(move |update: VeilidUpdate| told.tell(&RecvMessage::Update(update)));
        let api = Box::pin(veilid_core::api_startup_json(update, settings.to_string()))
            .await
            .map_err(|e| format!("Veilid does not start: {e}"))?;
        println!("listening {}", path.display());
        let node = Node { api: api.clone(), accepting: tokio::spawn(accept(socket, clients, api)) };
        match Box::pin(node.api.attach()).await {
            Ok(()) => Ok(node),
            Err(e) => {
                node.end().await;
                Err(format!("Veilid does not attach: {e}"))
            }
        }
    }

    async fn end(self) {
        self.accepting.abort();
        let _ = self.accepting.await; // the socket's file is gone now
        if tokio::time::timeout(SHUTDOWN, Box::pin(self.api.shutdown())).await.is_err() {
            eprintln!("veilid-node: Veilid did not end in time");
        }
    }
}

async fn accept(socket: Socket, clients: Clients, api: VeilidAPI) {
    loop {
        match socket.listener.accept().await {
            Ok((stream, _)) => clients.add(api.clone(), stream),
            // no descriptor left, for one: there may be one later
            Err(e) => {
                eprintln!("veilid-node: a client could not be let in: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Returns on a signal, and at the end of standard input if that counts.
async fn told_to_end(until_eof: bool) -> Result<(), String> {
    let fail = |e| format!("cannot wait for signals: {e}");
    let mut term = signal(SignalKind::terminate()).map_err(fail)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(fail)?;
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
        () = end_of_input(), if until_eof => {}
    }
    Ok(())
}

/// A thread waits, as the runtime could not end while it reads.
async fn end_of_input() {
    let (at_end, eof) = oneshot::channel();
    std::thread::spawn(move || {
        let mut some = [0; 256];
        while matches!(io::stdin().read(&mut some), Ok(n) if n > 0) {}
        let _ = at_end.send(());
    });
    let _ = eof.await;
}
