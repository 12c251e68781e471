using Caisson.Tidy.Tests.Mutants;
using Xunit.MicrosoftTestingPlatform;
using Xunit.Runner.InProc.SystemConsole;

namespace Caisson.Tidy.Tests;

/// <summary>Runs the tests; or, as <c>mutants [NAME…]</c>, takes guards away and sees whether a test notices.</summary>
internal static class Program
{
    private static Task<int> Main(string[] args) =>
        args is ["mutants", .. var names] ? MutantRunner.RunAsync(names)
        : args.Contains("--server") || args.Contains("--internal-msbuild-node") ? TestPlatformTestFramework.RunAsync(args, SelfRegisteredExtensions.AddSelfRegisteredExtensions)
        : ConsoleRunner.Run(args);
}
