using Caisson.Storage.Tests.Golden;
using Caisson.Storage.Tests.Processes;
using Xunit.MicrosoftTestingPlatform;
using Xunit.Runner.InProc.SystemConsole;

namespace Caisson.Storage.Tests;

/// <summary>Runs the tests; or, started by one of them, plays the process that is to be killed; or records golden journals.</summary>
internal static class Program
{
    private static Task<int> Main(string[] args) =>
        args is ["child", var role, var folder] ? Child.RunAsync(role, folder)
        : args is ["golden", var series, var target] ? GoldenRecorder.RunAsync(series, target)
        : args.Contains("--server") || args.Contains("--internal-msbuild-node") ? TestPlatformTestFramework.RunAsync(args, SelfRegisteredExtensions.AddSelfRegisteredExtensions)
        : ConsoleRunner.Run(args);
}
