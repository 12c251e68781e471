using System.Text;
using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Diagnostics;

namespace Caisson.Analyzers.Tests;

/// <summary>
/// Source text with its findings marked, <c>{|CAI001:DateTime.UtcNow|}</c>, compiled against the real Core and analysed.
/// </summary>
internal static partial class Source
{
    private const string Usings = """
        using System;
        using System.Collections.Concurrent;
        using System.Collections.Generic;
        using System.Data;
        using System.Data.Common;
        using System.Diagnostics;
        using System.IO;
        using System.Linq;
        using System.Net.Http;
        using System.Net.Http.Json;
        using System.Net.Sockets;
        using System.Security.Cryptography;
        using System.Threading;
        using System.Threading.Tasks;
        using Caisson.Core.Agents;

        """;

    // Its references are read once: most of the time of a small compilation goes there.
    private static readonly CSharpCompilation Empty = CSharpCompilation.Create(
        "Sample",
        references: ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator).Select(path => MetadataReference.CreateFromFile(path)),
        options: new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, nullableContextOptions: NullableContextOptions.Enable));

    /// <summary>The text without its marks: where nothing is to be found.</summary>
    internal static string Unmarked(string marked) => Mark().Replace(marked, "$2");

    /// <summary>The body of an agent, with other members of its class.</summary>
    internal static Task CheckAgentAsync(string body, string members = "") => CheckAsync($$"""
        public sealed class Sample : IAgent
        {
            public async Task<string> RunAsync(IRunContext context, CancellationToken cancellationToken)
            {
                {{body}}
                await context.SleepAsync(TimeSpan.FromDays(1));
                return "";
            }

            {{members}}
        }
        """);

    internal static async Task CheckAsync(string marked, OutputKind kind = OutputKind.DynamicallyLinkedLibrary)
    {
        var (text, expected) = Read(Usings + marked);
        var compilation = Empty.WithOptions(Empty.Options.WithOutputKind(kind)).AddSyntaxTrees(CSharpSyntaxTree.ParseText(text));
        var mistakes = compilation.GetDiagnostics().Where(found => found.Severity == DiagnosticSeverity.Error && found.Id != "CS0535").Select(found => found.ToString()).ToList();
        Assert.True(mistakes.Count == 0, string.Join('\n', mistakes) + "\n" + text);

        // What an analyzer throws would be a warning of the compiler otherwise.
        Exception? thrown = null;
        var analysis = compilation.WithAnalyzers(
            [new ReplayAnalyzer()],
            new CompilationWithAnalyzersOptions(new AnalyzerOptions([]), (problem, _, _) => thrown = problem, concurrentAnalysis: true, logAnalyzerExecutionTime: false));
        var actual = (await analysis.GetAnalyzerDiagnosticsAsync())
            .Select(found => (found.Location.SourceSpan.Start, Text: $"{{|{found.Id}:{text[found.Location.SourceSpan.Start..found.Location.SourceSpan.End]}|}}"));

        Assert.Null(thrown);
        Assert.Equal(Lines(text, expected), Lines(text, actual));
    }

    private static (string Text, List<(int Start, string Text)> Expected) Read(string marked)
    {
        var (text, expected, end) = (new StringBuilder(), new List<(int, string)>(), 0);
        foreach (Match mark in Mark().Matches(marked))
        {
            text.Append(marked, end, mark.Index - end);
            expected.Add((text.Length, mark.Value));
            text.Append(mark.Groups[2].Value);
            end = mark.Index + mark.Length;
        }

        return (text.Append(marked, end, marked.Length - end).ToString(), expected);
    }

    private static IEnumerable<string> Lines(string text, IEnumerable<(int Start, string Text)> findings) =>
        findings.OrderBy(finding => finding.Start).ThenBy(finding => finding.Text, StringComparer.Ordinal)
            .Select(finding => $"line {text.AsSpan(0, finding.Start).Count('\n') + 1}: {finding.Text}");

    [GeneratedRegex(@"\{\|(CAI\d{3}):(.*?)\|\}", RegexOptions.Singleline)]
    private static partial Regex Mark();
}
