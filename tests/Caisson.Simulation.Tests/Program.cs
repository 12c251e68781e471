using Caisson.Simulation.Tests.Runs;

// `sim SEED N` runs seeds without the runner of the tests: this is what `make sim` does.
if (args is ["sim", .. var rest])
    return Campaign.Execute(rest);
if (args.Any(a => a is "--server" or "--internal-msbuild-node"))
    return await Xunit.MicrosoftTestingPlatform.TestPlatformTestFramework.RunAsync(args, Caisson.Simulation.Tests.SelfRegisteredExtensions.AddSelfRegisteredExtensions);
return await Xunit.Runner.InProc.SystemConsole.ConsoleRunner.Run(args);
