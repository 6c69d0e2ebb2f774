import pytest

from vcore_verl.evaluation.job import Job, Sampling
from vcore_verl.evaluation.worker import engine_options


@pytest.mark.parametrize("tensor_parallel", [1, 4])
def test_on_a_gpu_an_engine_has_as_many_sequences_at_a_time_as_verls_rollouts(tensor_parallel, tmp_path):
    sampling = Sampling(num_samples=2, temperature=1.0, top_p=1.0, max_tokens=8, seed=0, greedy=True)
    job = Job("base", str(tmp_path), {}, sampling, "bfloat16", "cuda", workers=1, tensor_parallel=tensor_parallel)
    options = engine_options(job, longest=64)
    assert options == {"dtype": "bfloat16", "tensor_parallel_size": tensor_parallel, "max_num_seqs": 256}
