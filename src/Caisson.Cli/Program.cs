using Caisson.Cli;
using Caisson.Cli.Output;
using Caisson.Cli.Supervise;
using Caisson.Core;

var supervised = Supervised.Begin();
using var signals = new Signals();
using var terminal = Terminal.OfProcess();
var shell = new Shell(terminal, TimeProvider.System, new SystemIds(TimeProvider.System), signals, supervised);
var exit = await CommandTree.InvokeAsync(shell, args);
try
{
    terminal.Flush();
}
catch (IOException)
{
    // Whoever read our output has had enough.
}

// What cannot be trusted any more must not hold the process: the supervisor waits to start the next one.
if (exit == ExitCodes.Restart)
    Environment.Exit(exit);
return exit;
