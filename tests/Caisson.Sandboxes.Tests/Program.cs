using Caisson.Sandboxes.Tests;

// As a server that owns boxes and is killed by LifeTests, to measure, to write a document, or as the runner of the tests.
if (args is ["own-boxes", var kind, var directory])
    return await BoxOwner.RunAsync(kind, directory);
if (args is ["measure", "microvm"])
    return await Measurement.RunMachinesAsync();
if (args is ["measure", var kindOfMany, var many])
    return await Measurement.RunAsync(kindOfMany, int.Parse(many, System.Globalization.CultureInfo.InvariantCulture));
if (args is ["measure", var measured])
    return await Measurement.RunAsync(measured);
if (args is ["containment", var file, .. var kinds])
    return await Caisson.Sandboxes.Tests.Containment.Table.WriteAsync(file, kinds.Length > 0 ? kinds : BoxKinds.All);
if (args.Any(a => a is "--server" or "--internal-msbuild-node"))
    return await Xunit.MicrosoftTestingPlatform.TestPlatformTestFramework.RunAsync(args, SelfRegisteredExtensions.AddSelfRegisteredExtensions);
return await Xunit.Runner.InProc.SystemConsole.ConsoleRunner.Run(args);
