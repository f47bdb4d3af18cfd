"""Multi-objective evolution on a grid of integers; knows nothing of networks."""

from jaxcompress.evolution import problems as problems
from jaxcompress.evolution.algorithm import (
    Algorithm as Algorithm,
    Evaluation as Evaluation,
    sanitize as sanitize,
)
from jaxcompress.evolution.compiled import compiled as compiled
from jaxcompress.evolution.crossover import (
    one_point_crossover as one_point_crossover,
    sbx_crossover as sbx_crossover,
    two_point_crossover as two_point_crossover,
    uniform_crossover as uniform_crossover,
)
from jaxcompress.evolution.crowding import crowding_distance as crowding_distance
from jaxcompress.evolution.decomposed import (
    Decomposed as Decomposed,
    DecomposedMemory as DecomposedMemory,
)
from jaxcompress.evolution.differential import (
    differential_variation as differential_variation,
)
from jaxcompress.evolution.directions import (
    checked_directions as checked_directions,
    das_dennis as das_dennis,
    spread as spread,
)
from jaxcompress.evolution.duplicates import (
    duplicate_mask as duplicate_mask,
    fill_unseen as fill_unseen,
    replace_duplicates as replace_duplicates,
)
from jaxcompress.evolution.elitist import (
    Elitist as Elitist,
    ElitistState as ElitistState,
)
from jaxcompress.evolution.epsilon_archive import (
    EpsilonArchive as EpsilonArchive,
    add_to_archive as add_to_archive,
    epsilon_archive as epsilon_archive,
)
from jaxcompress.evolution.evolve import Evolved as Evolved, evolve as evolve
from jaxcompress.evolution.evosax_adapter import (
    EvosaxAdapter as EvosaxAdapter,
    supported as supported,
)
from jaxcompress.evolution.genetic import (
    Genetic as Genetic,
    GeneticParams as GeneticParams,
    genetic_params as genetic_params,
)
from jaxcompress.evolution.genetic_algorithm import (
    GeneticAlgorithm as GeneticAlgorithm,
    roulette as roulette,
)
from jaxcompress.evolution.grid import (
    Grid as Grid,
    GridLike as GridLike,
    sample as sample,
)
from jaxcompress.evolution.hypervolume import (
    hypervolume as hypervolume,
    hypervolume_contributions as hypervolume_contributions,
    hypervolume_contributions_host as hypervolume_contributions_host,
    hypervolume_host as hypervolume_host,
)
from jaxcompress.evolution.igd import igd_plus as igd_plus
from jaxcompress.evolution.masks import (
    exchange_crossover as exchange_crossover,
    exchange_mutation as exchange_mutation,
)
from jaxcompress.evolution.moead import (
    MOEAD as MOEAD,
    MOEADMemory as MOEADMemory,
    MOEADParams as MOEADParams,
)
from jaxcompress.evolution.mutation import (
    reset_mutation as reset_mutation,
    step_mutation as step_mutation,
)
from jaxcompress.evolution.niching import (
    Hyperplane as Hyperplane,
    associate as associate,
    niche_survive as niche_survive,
    normalize as normalize,
)
from jaxcompress.evolution.nsga2 import NSGA2 as NSGA2
from jaxcompress.evolution.nsga3 import NSGA3 as NSGA3
from jaxcompress.evolution.pareto import (
    dominates as dominates,
    front_mask as front_mask,
    nondominated_ranks as nondominated_ranks,
    pareto_dominates as pareto_dominates,
)
from jaxcompress.evolution.random_search import (
    RandomSearch as RandomSearch,
    RandomSearchParams as RandomSearchParams,
)
from jaxcompress.evolution.scalarize import (
    boundary_intersection as boundary_intersection,
    saving_score as saving_score,
    tchebycheff as tchebycheff,
    weighted_sum as weighted_sum,
)
from jaxcompress.evolution.seen import (
    nothing_seen as nothing_seen,
    recall as recall,
    remember as remember,
)
from jaxcompress.evolution.selection import (
    Survivors as Survivors,
    survive as survive,
    tournament as tournament,
)
from jaxcompress.evolution.variation import (
    CROSSOVERS as CROSSOVERS,
    MUTATIONS as MUTATIONS,
    change_one_gene as change_one_gene,
    crossover as crossover,
    mutate as mutate,
)
