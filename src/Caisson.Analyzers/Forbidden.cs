using System;
using System.Collections.Generic;
using System.Linq;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Operations;

namespace Caisson.Analyzers;

/// <summary>What agent code may not use, and what it uses instead.</summary>
internal sealed class Forbidden
{
    private const string Step = "do it in a step (context.StepAsync)";
    private const string Await = "await it";
    private const string Stay = "start a branch (context.BranchAsync), or do the work in a step";
    private const string OneThread = "the run's code is on one thread, and needs none";

    private static readonly Ban[] Bans =
    [
        new(Rules.Clock, "context.Now", "System.DateTime", "Now", "UtcNow", "Today"),
        new(Rules.Clock, "context.Now", "System.DateTimeOffset", "Now", "UtcNow"),
        new(Rules.Clock, "context.Now", "System.Environment", "TickCount", "TickCount64"),
        new(Rules.Clock, "context.Now", "System.Diagnostics.Stopwatch"),

        new(Rules.Chance, "context.NewGuid()", "System.Guid", "NewGuid", "CreateVersion7"),
        new(Rules.Chance, "context.Random", "System.Random", "Shared"),
        new(Rules.Chance, "context.Random", "System.Random", ".ctor") { When = made => made.Parameters.Length == 0 },
        new(Rules.Chance, "context.Random, or a step where it must be secret", "System.Security.Cryptography.RandomNumberGenerator"),
        new(Rules.Chance, "context.NewGuid()", "System.IO.Path", "GetRandomFileName"),
        // Strings are hashed with a seed that each process draws anew.
        new(Rules.Chance, "a hash of your own", "System.String", "GetHashCode"),
        new(Rules.Chance, "a hash of your own", "System.HashCode"),

        new(Rules.Wait, "context.SleepAsync", "System.Threading.Tasks.Task", "Delay"),
        new(Rules.Wait, "context.SleepAsync beside it, in context.WhenAnyAsync", "System.Threading.Tasks.Task", "WaitAsync") { When = HasTime },
        new(Rules.Wait, "context.SleepAsync beside it, in context.WhenAnyAsync", "System.Threading.Tasks.Task`1", "WaitAsync") { When = HasTime },
        new(Rules.Wait, "context.SleepAsync", "System.Threading.Thread", "Sleep"),
        new(Rules.Wait, "context.SleepAsync", "System.Threading.Timer"),
        new(Rules.Wait, "context.SleepAsync", "System.Timers.Timer"),
        new(Rules.Wait, "context.SleepAsync", "System.Threading.PeriodicTimer"),
        new(Rules.Wait, "context.SleepAsync", "System.TimeProvider", "CreateTimer"),
        new(Rules.Wait, "context.SleepAsync beside it, in context.WhenAnyAsync", "System.Threading.CancellationTokenSource", "CancelAfter"),
        new(Rules.Wait, "context.SleepAsync beside it, in context.WhenAnyAsync", "System.Threading.CancellationTokenSource", ".ctor") { When = made => made.Parameters.Length > 0 },
        // After its timers: what is left of it is the clock.
        new(Rules.Clock, "context.Now", "System.TimeProvider"),

        new(Rules.Thread, Stay, "System.Threading.Tasks.Task", "Run"),
        new(Rules.Thread, Stay, "System.Threading.Tasks.TaskFactory"),
        new(Rules.Thread, Stay, "System.Threading.Tasks.TaskFactory`1"),
        new(Rules.Thread, Stay, "System.Threading.Tasks.Parallel"),
        new(Rules.Thread, Stay, "System.Threading.ThreadPool"),
        new(Rules.Thread, Stay, "System.Threading.Thread", ".ctor"),
        new(Rules.Thread, Stay, "System.Linq.ParallelEnumerable"),

        new(Rules.Block, Await, "System.Threading.Tasks.Task", "Wait", "WaitAll", "WaitAny"),
        new(Rules.Block, Await, "System.Threading.Tasks.Task`1", "Result"),
        new(Rules.Block, Await, "System.Threading.Tasks.ValueTask`1", "Result"),
        new(Rules.Block, Await, "System.Runtime.CompilerServices.TaskAwaiter", "GetResult"),
        new(Rules.Block, Await, "System.Runtime.CompilerServices.TaskAwaiter`1", "GetResult"),
        new(Rules.Block, Await, "System.Runtime.CompilerServices.ValueTaskAwaiter", "GetResult"),
        new(Rules.Block, Await, "System.Runtime.CompilerServices.ValueTaskAwaiter`1", "GetResult"),
        new(Rules.Block, Await, "System.Runtime.CompilerServices.ConfiguredTaskAwaitable+ConfiguredTaskAwaiter", "GetResult"),
        new(Rules.Block, Await, "System.Runtime.CompilerServices.ConfiguredTaskAwaitable`1+ConfiguredTaskAwaiter", "GetResult"),
        new(Rules.Block, OneThread, "System.Threading.Monitor"),
        new(Rules.Block, OneThread, "System.Threading.Lock", "Enter", "EnterScope", "TryEnter"),
        new(Rules.Block, OneThread, "System.Threading.SemaphoreSlim", "Wait", "WaitAsync"),
        new(Rules.Block, OneThread, "System.Threading.WaitHandle", "WaitOne", "WaitAll", "WaitAny", "SignalAndWait"),
        new(Rules.Block, OneThread, "System.Threading.ManualResetEventSlim", "Wait"),
        new(Rules.Block, OneThread, "System.Threading.CountdownEvent", "Wait"),
        new(Rules.Block, OneThread, "System.Threading.Barrier", "SignalAndWait"),
        new(Rules.Block, OneThread, "System.Threading.ReaderWriterLock"),
        new(Rules.Block, OneThread, "System.Threading.ReaderWriterLockSlim"),
        new(Rules.Block, OneThread, "System.Threading.SpinLock"),
        new(Rules.Block, OneThread, "System.Threading.SpinWait"),
        new(Rules.Block, OneThread, "System.Threading.Thread", "Join"),

        new(Rules.World, Step, "System.IO.File"),
        new(Rules.World, Step, "System.IO.FileSystemInfo"),
        new(Rules.World, Step, "System.IO.Directory"),
        new(Rules.World, Step, "System.IO.DriveInfo"),
        new(Rules.World, Step, "System.IO.FileStream"),
        new(Rules.World, Step, "System.IO.FileSystemWatcher"),
        new(Rules.World, Step, "System.IO.RandomAccess"),
        new(Rules.World, Step, "System.IO.Path", "GetTempFileName", "GetTempPath", "Exists"),
        new(Rules.World, Step, "System.IO.StreamReader", ".ctor") { When = OpensPath },
        new(Rules.World, Step, "System.IO.StreamWriter", ".ctor") { When = OpensPath },
        new(Rules.World, Step, "System.Console"),
        new(Rules.World, Step, "System.Diagnostics.Process"),
        new(null, "", "System.Environment", "NewLine"),
        new(Rules.World, Step, "System.Environment"),
        new(Rules.World, Step, "System.Net.Dns"),
        new(Rules.World, Step, "System.Net.WebRequest"),
        new(Rules.World, Step, "System.Net.WebClient"),
        new(Rules.World, Step, "System.Net.HttpListener"),
        new(Rules.World, Step, "System.Net.Http.HttpMessageInvoker"),
        new(Rules.World, Step, "System.Net.Http.HttpMessageHandler"),
        new(Rules.World, Step, "System.Net.Http.IHttpClientFactory"),
        new(Rules.World, Step, "System.Net.Security.SslStream"),
        new(Rules.World, Step, "System.Data.IDbConnection"),
        new(Rules.World, Step, "System.Data.IDbCommand"),
        new(Rules.World, Step, "System.Data.IDataReader"),
        new(Rules.World, Step, "System.Data.Common.DbDataSource"),
        new(Rules.World, Step, "System.Data.Common.DbConnection"),
        new(Rules.World, Step, "System.Data.Common.DbTransaction"),
        new(Rules.World, Step, "System.Data.Common.DbCommand"),
        new(Rules.World, Step, "System.Data.Common.DbBatch"),
        new(Rules.World, Step, "System.Data.Common.DbDataReader"),
        new(Rules.World, Step, "System.Data.Common.DbDataAdapter"),
        new(Rules.World, Step, "Microsoft.EntityFrameworkCore.DbContext"),
        new(Rules.World, Step, "Microsoft.EntityFrameworkCore.Infrastructure.DatabaseFacade"),
        new(Rules.World, Step, "Microsoft.EntityFrameworkCore.EntityFrameworkQueryableExtensions"),
    ];

    private static readonly HashSet<string> Worlds =
    [
        "System.IO.IsolatedStorage", "System.IO.MemoryMappedFiles", "System.IO.Pipes", "System.Net.Mail",
        "System.Net.NetworkInformation", "System.Net.Quic", "System.Net.Sockets", "System.Net.WebSockets",
    ];

    private static readonly Ban InWorlds = new(Rules.World, Step, "");
    private static readonly Ban Unscheduled = new(Rules.Thread, "leave it out", "");

    private readonly Dictionary<ISymbol, List<Ban>> _bans = new(SymbolEqualityComparer.Default);
    private readonly INamedTypeSymbol? _exception;

    internal Forbidden(Compilation compilation)
    {
        _exception = compilation.GetTypeByMetadataName("System.Exception");
        foreach (var ban in Bans)
        {
            foreach (var type in compilation.GetTypesByMetadataName(ban.Type))
            {
                if (!_bans.TryGetValue(type, out var bans))
                    _bans[type] = bans = [];
                bans.Add(ban);
            }
        }
    }

    /// <param name="member">What the operation uses: a method, a constructor or a property.</param>
    internal (DiagnosticDescriptor Rule, string Instead)? Find(IOperation operation, ISymbol member)
    {
        if (operation is IInvocationOperation call && LeavesScheduler(call))
            return (Unscheduled.Rule!, Unscheduled.Instead);
        var ban = Of(member.ContainingType, member)
            // What extends a forbidden type forwards to it: JSON over HTTP, micro mappers over connections.
            ?? (member is IMethodSymbol { IsExtensionMethod: true } extension && (extension.ReducedFrom ?? extension).Parameters[0].Type is INamedTypeSymbol extended ? Of(extended, null) : null);
        return ban?.Rule is { } rule ? (rule, ban.Instead) : null;
    }

    internal static string Name(ISymbol member) => member is IMethodSymbol { MethodKind: MethodKind.Constructor }
        ? $"new {member.ContainingType.Name}"
        : $"{member.ContainingType.Name}.{member.Name}";

    private Ban? Of(INamedTypeSymbol? type, ISymbol? member)
    {
        for (var at = type?.OriginalDefinition; at is not null; at = at.BaseType?.OriginalDefinition)
        {
            if (SymbolEqualityComparer.Default.Equals(at, _exception))
                return null;
            if (_bans.TryGetValue(at, out var bans) && bans.FirstOrDefault(ban => ban.Covers(member)) is { } found)
                return found;
        }

        return type is not null && Worlds.Contains(type.ContainingNamespace?.ToDisplayString() ?? "") && !IsException(type) ? InWorlds : null;
    }

    private bool IsException(INamedTypeSymbol type)
    {
        for (var at = type; at is not null; at = at.BaseType)
        {
            if (SymbolEqualityComparer.Default.Equals(at, _exception))
                return true;
        }

        return false;
    }

    /// <summary>What follows such an await goes on elsewhere than on the run's scheduler.</summary>
    private static bool LeavesScheduler(IInvocationOperation call) =>
        call.TargetMethod.Name == "ConfigureAwait" && call.Arguments.Length > 0 && call.Arguments[call.Arguments.Length - 1].Value.ConstantValue is { HasValue: true, Value: var given }
        && given switch
        {
            bool kept => !kept,
            int options => (options & 1) == 0,
            _ => false,
        };

    private static bool HasTime(IMethodSymbol method) => method.Parameters.Any(parameter => parameter.Type.Name == nameof(TimeSpan));

    private static bool OpensPath(IMethodSymbol constructor) => constructor.Parameters[0].Type.SpecialType == SpecialType.System_String;

    /// <param name="Rule"><c>null</c> for what is allowed although its type is not.</param>
    private sealed class Ban(DiagnosticDescriptor? rule, string instead, string type, params string[] members)
    {
        internal DiagnosticDescriptor? Rule { get; } = rule;

        internal string Instead { get; } = instead;

        internal string Type { get; } = type;

        /// <summary>Which overloads; all of them where it is not given.</summary>
        internal Func<IMethodSymbol, bool>? When { get; set; }

        /// <param name="member"><c>null</c> to ask for the type as a whole.</param>
        internal bool Covers(ISymbol? member) =>
            (members.Length == 0 || (member is not null && members.Contains(member.Name)))
            && (When is null || (member is IMethodSymbol method && When(method)));
    }
}
