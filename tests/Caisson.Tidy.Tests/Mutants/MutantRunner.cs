using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Caisson.Tidy.Tests.Mutants;

/// <summary>
/// Takes one guard after the other away, in a copy of the tree, and expects a test to fail each time. A guard that
/// nobody misses is one that the next change may drop unnoticed.
/// </summary>
internal static partial class MutantRunner
{
    private static readonly TimeSpan BuildLimit = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan TestLimit = TimeSpan.FromMinutes(3);

    private static string Tree { get; } = Repo.FullPath("artifacts/mutants");

    /// <param name="names">Beginnings of names; none for all.</param>
    internal static async Task<int> RunAsync(IReadOnlyList<string> names)
    {
        var mutants = Mutant.All.Where(m => names.Count == 0 || names.Any(n => m.Name.StartsWith(n, StringComparison.Ordinal))).ToList();
        if (mutants.Count == 0)
            return Say(2, $"no guard is called {string.Join(", ", names)}; see {Mutant.Folder}");
        CopyTree();
        foreach (var project in mutants.SelectMany(m => m.Tests).GroupBy(t => t.Project))
        {
            if (await BuildAsync(project.Key) is { } broken)
                return Say(1, $"{project.Key} does not build as it is:\n{broken}");
            if (await TestAsync(project.Key, [.. project.Select(t => t.Class).Distinct()]) is { } red)
                return Say(1, $"{project.Key} is red as it is: {red}");
        }

        var (killed, survived) = (0, 0);
        foreach (var mutant in mutants)
        {
            var began = Stopwatch.GetTimestamp();
            var killer = await TryAsync(mutant);
            killed += killer is null ? 0 : 1;
            survived += killer is null ? 1 : 0;
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{mutant.Guard} | {killer ?? "SURVIVED"} | {Stopwatch.GetElapsedTime(began).TotalSeconds:0}"));
        }

        return Say(survived == 0 ? 0 : 1, $"{killed} killed, {survived} survived");
    }

    /// <summary>Who noticed, or <c>null</c>.</summary>
    private static async Task<string?> TryAsync(Mutant mutant)
    {
        var path = Path.Combine(Tree, mutant.File);
        var source = await File.ReadAllTextAsync(path);
        if (!mutant.Fits(source))
            return null;
        await File.WriteAllTextAsync(path, mutant.Apply(source));
        try
        {
            foreach (var project in mutant.Tests.GroupBy(t => t.Project))
            {
                // A change that does not build takes no guard away.
                if (await BuildAsync(project.Key) is { } broken)
                {
                    Console.WriteLine($"{mutant.Name} does not build: {broken}");
                    return null;
                }

                if (await TestAsync(project.Key, [.. project.Select(t => t.Class)]) is { } killer)
                    return killer;
            }

            return null;
        }
        finally
        {
            await File.WriteAllTextAsync(path, source);
        }
    }

    /// <summary>What is wrong, or <c>null</c>.</summary>
    private static async Task<string?> BuildAsync(string project)
    {
        var (exit, output) = await RunAsync("dotnet", BuildLimit, "build", $"tests/Caisson.{project}.Tests", "-c", "Release", "-v", "quiet", "-nologo",
            // A guard that is gone may leave a variable that nobody uses.
            "-p:TreatWarningsAsErrors=false", "-p:EnforceCodeStyleInBuild=false");
        return exit == 0 ? null : output.Split('\n').FirstOrDefault(line => line.Contains(": error", StringComparison.Ordinal)) ?? output;
    }

    /// <summary>The first test that failed, or <c>null</c>.</summary>
    private static async Task<string?> TestAsync(string project, IReadOnlyList<string> classes)
    {
        var (exit, output) = await RunAsync(Path.Combine(Tree, $"tests/Caisson.{project}.Tests/bin/Release/net10.0/Caisson.{project}.Tests"), TestLimit,
            ["-noColor", "-noLogo", "-noAutoReporters", "-stopOnFail", .. classes.SelectMany(c => new[] { "-class", c })]);
        if (exit == 0 && Total().Match(output) is { Success: true } total && total.Groups[1].Value != "0")
            return null;
        return Failed().Match(output) is { Success: true } failed ? failed.Groups[1].Value.Split('.')[^1] : exit is null ? "the time limit" : $"exit code {exit}: {output.TrimEnd().Split('\n')[^1]}";
    }

    private static async Task<(int? Exit, string Output)> RunAsync(string program, TimeSpan limit, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { WorkingDirectory = Tree, RedirectStandardOutput = true, RedirectStandardError = true })!;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEndAsync();
        try
        {
            await process.WaitForExitAsync().WaitAsync(limit, TimeProvider.System);
        }
        catch (TimeoutException)
        {
            process.Kill(entireProcessTree: true);
            return (null, await output + await error);
        }

        return (process.ExitCode, await output + await error);
    }

    /// <summary>Writes only what differs, so that the second round builds only what changed.</summary>
    private static void CopyTree()
    {
        foreach (var file in Repo.Files)
        {
            var (from, to) = (Repo.FullPath(file), Path.Combine(Tree, file));
            if (File.Exists(to) && File.ReadAllBytes(from).AsSpan().SequenceEqual(File.ReadAllBytes(to)))
                continue;
            Directory.CreateDirectory(Path.GetDirectoryName(to)!);
            File.Copy(from, to, overwrite: true);
            File.SetLastWriteTimeUtc(to, TimeProvider.System.GetUtcNow().UtcDateTime);
        }

        foreach (var folder in new[] { "src", "tests" })
        {
            foreach (var gone in Directory.EnumerateFiles(Path.Combine(Tree, folder), "*.cs", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(Tree, f)))
            {
                if (!gone.Split('/').Any(part => part is "bin" or "obj") && !Repo.Exists(gone))
                    File.Delete(Path.Combine(Tree, gone));
            }
        }
    }

    private static int Say(int exit, string text)
    {
        Console.WriteLine(text);
        return exit;
    }

    [GeneratedRegex(@"^ +([\w.]+?)(?:\(.*)? \[FAIL\]", RegexOptions.Multiline)]
    private static partial Regex Failed();

    [GeneratedRegex(@"Total: (\d+)")]
    private static partial Regex Total();
}
